"""What only the notebooks use.

notebook            set-up of every notebook: the budget, clips and sounds to play
exercises/          self-checks: what a reader wrote in, a verdict out
widgets/            figures under controls
ledger              every formula against its loops           notebooks 03 to 05
two_factor_world    a small world in which truth is known     notebook 05
talking_maps        points that show a face and speak         notebook 07
own_video           an uploaded video among known people      notebook 10
"""
