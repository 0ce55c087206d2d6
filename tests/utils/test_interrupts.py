"""Ctrl-C waits for the end of a step, and for the end of a file."""

import os
import signal
import threading

import pytest

from dsel.utils.interrupts import interrupt_held_back, no_interrupt


@pytest.fixture(autouse=True)
def usual():
    """Give SIGINT the handler that Python gives it; a shell may have switched it off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def press():
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_press_is_noted_and_the_second_interrupts():
    with interrupt_held_back() as pressed:
        assert not pressed()
        press()
        assert pressed()
        with pytest.raises(KeyboardInterrupt):
            press()


def test_a_file_is_written_to_its_end_however_often_it_is_pressed():
    done = []

    def write():
        with no_interrupt():
            press(), press(), press()
            done.append("written")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert done == ["written"]


def test_a_press_while_a_file_is_written_inside_a_step_counts_once():
    with interrupt_held_back() as pressed:
        with no_interrupt():
            press(), press()
            assert not pressed()
        assert pressed()
        with pytest.raises(KeyboardInterrupt):
            press()


def test_a_handler_of_somebody_else_stays():
    heard = []
    signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    with interrupt_held_back() as pressed, no_interrupt():
        press()
    assert heard == [signal.SIGINT]
    assert not pressed()
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_in_another_thread_nothing_is_changed():
    found = []

    def work():
        with interrupt_held_back() as pressed, no_interrupt():
            found.append((signal.getsignal(signal.SIGINT), pressed()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(signal.default_int_handler, False)]
