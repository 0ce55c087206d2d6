"""The generated pieces of README.ko.md: the notebooks, and the results with the same numbers.

`python tools/docs.py` writes them. Names and numbers come from where README.md has them; the
sentences about the notebooks stand in tools/site.toml.
"""

from __future__ import annotations

import json
from pathlib import Path

from dsel.ablation import verdict
from dsel.ablation.report import mean, paired
from tools import front_page, site

__all__ = ["caption", "measured", "notebooks"]

ROOT = Path(__file__).resolve().parents[1]
VARIANTS = {
    "random": "학습하지 않음",
    verdict.BASELINE: "λ = 0, 저자들의 입력",
    verdict.FOUR["track"][1]: "λ = 1, 저자들의 입력",
    verdict.CHOSEN: "λ = 3, 우리의 입력",
    verdict.CHOSEN_FIVE: "여기에 우리의 항을 더함",
}
COLUMNS = {
    "eer_free": "일반 ↓",
    "eer_hard": "어려움 ↓",
    "content_top1": "내용 ↑",
    "content_head_eer_free": "누출 ↑",
}
COMPARISONS = (
    "논문의 혼동 항, λ = 3 (λ = 0과 비교, 정규화하지 않은 입력)",
    "λ = 1, 저자들의 입력",
    "우리가 더한 다섯째 항, λ = 3",
)


def caption() -> str:
    """What the moving picture shows."""
    card = json.loads((ROOT / "docs" / "hero.json").read_text(encoding="utf-8"))
    near = {
        name: f"{100 * value:.0f}\u00a0%"
        for name, value in card["nearest_points_of_the_same_voice"].items()
    }
    return (
        "*네트워크가 한 번도 만난 적 없는, 그림으로 만든 네 사람이 같은 단어를 말합니다. 화자 "
        "지도에서는 "
        "목소리마다 제자리를 지킵니다(한 점의 가장 가까운 이웃 열 개 가운데 같은 목소리가 "
        f"{near['identity']}). 내용 지도에서는 네 사람이 모두 같은 길을 돕니다"
        f"({near['content']}, 우연 수준 {near['content_chance']}). "
        f"네트워크는 논문의 손실로 학습한 `{card['network']}`입니다.*"
    )


def notebooks() -> str:
    """The course as a list, in Korean."""
    return "\n".join(
        f"- [{entry.number} {entry.korean}](notebooks/{entry.file}): {entry.line_ko} "
        f"({entry.minutes}분)"
        for entry in site.course()
    )


def change(rows: list[dict], variant: str, other: str, metric: str) -> str:
    """One change with its interval; '' if it was not measured."""
    difference = paired(rows, variant, other, f"test_{metric}").interval
    name, (_, sign) = COLUMNS[metric].split()[0], front_page.COLUMNS[metric]
    if difference.n < 2:
        return ""
    half = f"\u00a0±\u00a0{difference.half:.1f}"
    if not difference.shown:
        return f"{name}은 변화가 확인되지 않음({difference.mean:+.1f}{half})"
    word = "좋아짐" if difference.mean * sign > 0 else "나빠짐"
    return f"{name}은 {abs(difference.mean):.1f}{half} %p {word}"


def measured() -> str:
    """The table of README.md, how it was measured, and the conclusions."""
    rows, schedule = verdict.grid(), verdict.settings()
    table = front_page.table(rows, VARIANTS, COLUMNS.values(), "찍을 때")
    cells = [
        mean(rows, v, f"test_{metric}") for v in VARIANTS if v != "random" for metric in COLUMNS
    ]
    how = (
        f"그림으로 만든 화자 {schedule['speakers']}명으로 {cells[0].n}번 학습한 "
        f"평균이며(학습하지 않은 "
        f"네트워크는 {mean(rows, 'random', 'test_eer_free').n}번), 다른 {schedule['test']}명으로 "
        f"시험했습니다. 95\u00a0% 신뢰 구간은 모두 ±\u00a0{max(c.half for c in cells):.1f} 안에 "
        "있습니다. [전체 결과](docs/results.md)(영어)."
    )
    sentences = []
    for text, (_, variant, other, metrics) in zip(COMPARISONS, front_page.COMPARISONS, strict=True):
        changes = [found for metric in metrics if (found := change(rows, variant, other, metric))]
        sentences.append(f"- {text}: {', '.join(changes)}.")
    found, again = map(verdict.extras_left_out, (verdict.later(), verdict.confirmed()))
    sentences[1] += (
        " 우리가 더한 추가 트랙(스텝마다 64개)이 있을 때의 결과이며, 추가 트랙 없이는 λ = 1이 "
        f"어려운 시행의 오류율을 {found.mean:+.1f}\u00a0±\u00a0{found.half:.1f} %p 바꿉니다"
        f"(시드 {found.n}개. 새 화자에서는 {again.mean:+.1f}\u00a0±\u00a0{again.half:.1f} %p)."
    )
    sentences[0] += f" {long_training()}"
    return "\n\n".join((table, how, "\n".join(sentences), people()))


def long_training() -> str:
    """What becomes of the effect in a long training."""
    size, hard = verdict.settings(), verdict.lasting(verdict.later(), "eer_hard")
    small, large, more = front_page.lost()
    return (
        f"{size['long_speakers']}명으로 {size['long']}스텝까지 오래 학습해도 효과가 남습니다. "
        f"어려운 시행의 오류율이 {hard.mean:+.1f}\u00a0±\u00a0{hard.half:.1f} %p 바뀝니다"
        f"(시드 {hard.n}개). "
        f"배치를 두 배로 늘리면 λ = 3의 효과는 사라지고({small:.1f} 대신 {large:.1f}), λ = 10이면 "
        f"남습니다({more:.1f})."
    )


def people() -> str:
    """What holds for real people."""
    of = front_page.real_people()
    return (
        "**실제 사람에게도 통할까요?** 2초가 넘는 영상에서 소리와 입술이 어긋난 정도를 한 프레임 "
        "안에서 맞히는 비율은 "
        f"`four_terms`가 {of.drawn:.0f}\u00a0%, `real`이 {of.real:.0f}\u00a0%입니다"
        "([GRID](benchmarks/offsets.md)). 실제 목소리에 녹음마다 다른 가상 마이크를 씌우면, "
        "우리의 입력은 "
        f"오류율 {of.ours:.1f}\u00a0%, 저자들의 입력은 {of.authors:.1f}\u00a0%, 학습이 없는 "
        f"평균 "
        f"MFCC는 "
        f"{of.mfcc:.1f}\u00a0%입니다(λ = 1. 우리의 입력은 λ = 0에서 "
        f"{of.without:.1f}\u00a0%, "
        "[LibriSpeech](docs/results.md#what-changes-on-real-voices)). "
        "배우고 연구하는 데 쓰고, 누가 누구인지 판정하는 데는 쓰지 마십시오."
    )
