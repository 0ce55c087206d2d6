"""What only the notebooks use: set-up, ledger of equations, exercises, widgets."""
