"""Where in the model, and where in the text: sites and roles, turned into hook names and positions.

An activation is addressed as (site, layer, head, role). Sites have TransformerLens's names. Roles
say what a token means, so one address works in every word order and for aliases of any length.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from data.errors import InputError, unknown_name
from data.tokens import TokenizedRow
from data.vocabulary import Role

SITE_HOOKS = {
    "resid_pre": "blocks.{layer}.hook_resid_pre",
    "resid_mid": "blocks.{layer}.hook_resid_mid",
    "resid_post": "blocks.{layer}.hook_resid_post",
    "attn_out": "blocks.{layer}.hook_attn_out",
    "mlp_out": "blocks.{layer}.hook_mlp_out",
    "q": "blocks.{layer}.attn.hook_q",
    "k": "blocks.{layer}.attn.hook_k",
    "v": "blocks.{layer}.attn.hook_v",
    "z": "blocks.{layer}.attn.hook_z",
}
"""Sites that hold one vector for each token.

`resid_mid` exists only without parallel residual, and a hook there edits what the MLP reads, not
the stream itself; patching (`interp.patching.unrolled`) replaces it in the stream, too.
"""
HEAD_SITES = frozenset({"q", "k", "v", "z"})
"""Sites with one vector for each head."""


class TokenRole(StrEnum):
    """One token of a row, by its meaning."""

    TAG = "tag"
    ALIAS_FIRST = "alias_first"
    ALIAS_LAST = "alias_last"
    ENTITY_FIRST = "entity_first"
    ENTITY_LAST = "entity_last"
    QUESTION_FIRST = "question_first"
    QUESTION_LAST = "question_last"
    ANSWER_FIRST = "answer_first"
    ANSWER_LAST = "answer_last"
    PROMPT_LAST = "prompt_last"
    """The token before the answer: what the answer's first token is predicted from."""

    @classmethod
    def parse(cls, text: str) -> "TokenRole":
        """The role of this name, in either case.

        Raises:
            InputError: there is no role of this name.
        """
        try:
            return cls(text.lower())
        except ValueError:
            raise unknown_name("role", text, cls) from None

    def position(self, row: TokenizedRow) -> int:
        """Where the token stands in a row.

        Raises:
            InputError: the row lacks the role.
        """
        if self is TokenRole.PROMPT_LAST:
            position = row.answer_positions[0] - 1
        elif self in (TokenRole.ANSWER_FIRST, TokenRole.ANSWER_LAST):
            position = row.answer_positions[0 if self is TokenRole.ANSWER_FIRST else -1]
        else:
            position = _position(row, self.partition("_")[0], self)
        if position < 0:
            raise _lacking(row, self)
        return position


class OwnTokenRole(str):
    """One token of a role that a person named: `subject_first` or `subject_last`."""

    __slots__ = ()

    def position(self, row: TokenizedRow) -> int:
        """Where the token stands in a row.

        Raises:
            InputError: the row lacks the role.
        """
        return _position(row, self.rpartition("_")[0], self)


AnyTokenRole = TokenRole | OwnTokenRole


def own_token_roles(rows: Sequence[TokenizedRow]) -> list[OwnTokenRole]:
    """First and last token of each role that all rows have under a name of a person's own."""
    names = [name for name in (rows[0].spans if rows else ()) if name not in set(Role)]
    shared = [name for name in names if all(name in row.spans for row in rows)]
    return [OwnTokenRole(f"{name}_{end}") for name in shared for end in ("first", "last")]


def find_token_role(text: str, rows: Sequence[TokenizedRow]) -> AnyTokenRole:
    """The token role of this name: one of `TokenRole`, in either case, or one that rows have.

    Raises:
        InputError: there is no role of this name.
    """
    own = {str(role): role for role in own_token_roles(rows)}
    if text not in own and text.lower() not in set(TokenRole):
        raise unknown_name("role", text, [*own, *TokenRole])
    return own[text] if text in own else TokenRole(text.lower())


def in_order(roles: Iterable[str]) -> list[str]:
    """Names of token roles, each once, in the order of `TokenRole`; others before the answer."""
    known = [str(role) for role in TokenRole]
    other = known.index(TokenRole.ANSWER_FIRST) - 0.5
    found = dict.fromkeys(map(str, roles))
    return sorted(found, key=lambda role: known.index(role) if role in known else other)


def _position(row: TokenizedRow, name: str, role: str) -> int:
    if name not in row.spans:
        raise _lacking(row, role)
    return row.spans[name][0 if role.endswith("_first") else 1]


def _lacking(row: TokenizedRow, role: str) -> InputError:
    return InputError(
        f"row {row.row.row_id} ({row.row.rendered.text!r}) has no {role}; "
        "choose other rows or another role"
    )


def role_positions(rows: Sequence[TokenizedRow], role: AnyTokenRole) -> list[int]:
    """Where a role stands in each row."""
    return [role.position(row) for row in rows]


@dataclass(frozen=True, order=True)
class Site:
    """A vector-valued activation of each token."""

    name: str
    layer: int
    head: int | None = None
    """None for the whole site; of a head site, all heads side by side."""

    @property
    def hook(self) -> str:
        """The name of the site's hook in TransformerLens."""
        return SITE_HOOKS[self.name].format(layer=self.layer)


def check_site_name(name: str) -> None:
    """Refuses a name that is no site.

    Raises:
        InputError: no site has this name.
    """
    if name not in SITE_HOOKS:
        raise unknown_name("site", name, SITE_HOOKS)


def check_number(kind: str, number: int, count: int) -> None:
    """Refuses a layer or a head that is not there.

    Args:
        kind: `layer` or `head`.
        number: Which.
        count: How many there are.

    Raises:
        InputError: the number is not from 0 to `count` - 1.
    """
    if not 0 <= number < count:
        owner = {"layer": "a model", "head": "a layer"}[kind]
        raise InputError(f"no {kind} {number} in {owner} of {count}; choose from 0 to {count - 1}")


def check_residual(names: Iterable[str]) -> None:
    """Refuses sites outside the residual stream, which no lens can read.

    Raises:
        InputError: one is not of the residual stream.
    """
    for name in names:
        if not name.startswith("resid"):
            raise InputError(
                f"a lens reads the residual stream, not {name}; choose resid_pre or resid_post"
            )
