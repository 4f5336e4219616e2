"""Conditions on claims, such as that all of some are met, in a logic in which a claim may be open."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from foresight_probes.studies.located import Located

Truth = Callable[[str], bool | None]
"""Function that tells of a claim, `<criterion>.<level>`, whether it is met; None where that is open."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A claim, or several conditions of which all, or any, must hold, or one that must not."""

    kind: str
    """`claim`, `all`, `any` or `not`."""
    claim: str = ""
    parts: tuple["Condition", ...] = ()

    def holds(self, truth: Truth) -> bool | None:
        """Tells whether it holds; None where that depends on an open claim (Kleene's logic).

        >>> claims = {"a.x": True, "b.x": None, "c.x": False}
        >>> a, b, c = (Condition("claim", name) for name in claims)
        >>> [Condition(kind, parts=(one, b)).holds(claims.get) for kind in ("all", "any") for one in (a, c)]
        [None, False, True, None]
        """
        if self.kind == "claim":
            return truth(self.claim)
        found = [part.holds(truth) for part in self.parts]
        if self.kind == "not":
            return None if found[0] is None else not found[0]
        decisive = self.kind == "any"
        if decisive in found:
            return decisive
        return None if None in found else not decisive

    def claims(self) -> Iterator[str]:
        """Yields the claims that it depends on."""
        if self.kind == "claim":
            yield self.claim
        for part in self.parts:
            yield from part.claims()

    def __str__(self) -> str:
        """The condition in words."""
        if self.kind == "claim":
            return self.claim
        if self.kind == "not":
            return f"not {self.parts[0]}"
        joined = f" {'and' if self.kind == 'all' else 'or'} ".join(map(str, self.parts))
        return f"({joined})" if len(self.parts) > 1 else joined


def parse_condition(node: Located, claims: frozenset[str]) -> Condition:
    """Returns the condition of a part of a study file: a claim, or `all`, `any` or `not` with what they are of."""
    if isinstance(node.value, str):
        return Condition("claim", node.choice("claim", claims))
    fields = node.fields(("all", "any", "not"))
    if len(fields) != 1:
        node.expected("a claim, or one of 'all', 'any' and 'not' with claims")
    ((kind, inner),) = fields.items()
    parts = tuple(parse_condition(item, claims) for item in inner.items())
    if not parts or (kind == "not" and len(parts) > 1):
        inner.expected("one claim" if kind == "not" else "claims")
    return Condition(kind, parts=parts)
