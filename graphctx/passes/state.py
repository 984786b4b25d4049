"""State that is given back as it was."""

from __future__ import annotations

from graphctx.graph import Branch, CallGraph, Outcome, Returns


def drop_kept_state(graph: CallGraph) -> CallGraph:
    """Leave out the states whose new value is the variable itself.

    Where training assigns a moving average and inference does not, `training=False` leaves the old
    value as the new one: nothing to give back, and the variable is an ordinary weight.
    """
    outcome = _without_kept(graph.outcome)
    return graph if outcome is graph.outcome else graph.replace(outcome=outcome)


def _without_kept(outcome: Outcome) -> Outcome:
    if isinstance(outcome, Returns):
        state = {
            path: (variable, value)
            for path, (variable, value) in outcome.state.items()
            if value.node.kind != "weight" or value.node.data is not variable
        }
        if len(state) == len(outcome.state):
            return outcome
        return Returns(outcome.structure, outcome.values, state)
    if isinstance(outcome, Branch):
        cases = tuple((case, _without_kept(inner)) for case, inner in outcome.cases)
        if all(a is b for (_, a), (_, b) in zip(cases, outcome.cases, strict=True)):
            return outcome
        return Branch(outcome.selector, cases)
    return outcome
