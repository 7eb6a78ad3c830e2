"""Places in a model and in a text as a reader meets them, in figures and sentences.

Tables and options of commands keep the names of `interp.hooked.addresses`.
"""

import re

SITES = {
    "resid_pre": "stream before {}",
    "resid_mid": "stream within {}",
    "resid_post": "stream after {}",
    "attn_out": "{}, attention",
    "mlp_out": "{}, MLP",
    "z": "{}, all heads",
    "q": "{}, queries",
    "k": "{}, keys",
    "v": "{}, values",
}
"""What a site is called, around the name of its layer."""
ALL_TOKENS = "all"
"""The value in a column of roles that stands for the whole prompt at once."""
ADDRESS = re.compile(rf"({'|'.join(SITES)})\.(\d+)(?:\.(\d+))?(?:(?: at |@)(\w+))?")


def site_words(site: str, layer: int, head: int = -1) -> str:
    """What figures call a site of a layer (of all, if it is below 0), or one head of it.

    >>> site_words("resid_post", 1), site_words("mlp_out", 0), site_words("mlp_out", -1)
    ('stream after layer 1', 'layer 0, MLP', 'all layers, MLP')
    >>> site_words("z", 1), site_words("z", 1, 3), site_words("k", 0, 2)
    ('layer 1, all heads', 'layer 1, head 3', 'layer 0, keys of head 2')
    """
    place = "all layers" if layer < 0 else f"layer {layer}"
    words = SITES[site].format(place)
    if head < 0:
        return words
    return f"{place}, head {head}" if site == "z" else f"{words} of head {head}"


def site_kind_words(site: str) -> str:
    """What figures call a site wherever it is.

    >>> site_kind_words("attn_out"), site_kind_words("z"), site_kind_words("resid_pre")
    ('attention', 'heads', 'stream before a layer')
    """
    if site == "z":
        return "heads"
    return SITES[site].format("a layer").removeprefix("a layer, ")


def role_words(role: str) -> str:
    """What an axis calls tokens of a role.

    >>> role_words("alias_last"), role_words("tag"), role_words("all")
    ('last alias token', 'tag', 'all tokens')
    >>> role_words("my_hero_first")
    'first my_hero token'
    """
    if role == ALL_TOKENS:
        return "all tokens"
    name, _, end = role.rpartition("_")
    return f"{end} {name} token" if end in ("first", "last") and name else role


def at_words(role: str) -> str:
    """Where something is, in a sentence.

    >>> at_words("prompt_last"), at_words("tag"), at_words("all")
    ('at the last prompt token', 'at the tag', 'at all tokens')
    """
    return f"at {'' if role == ALL_TOKENS else 'the '}{role_words(role)}"


def in_words(state: str) -> str:
    """A site in words, in a sentence.

    >>> in_words("stream after layer 1"), in_words("layer 0, MLP")
    ('in the stream after layer 1', 'in layer 0, MLP')
    """
    return f"in {'the ' if state.startswith('stream') else ''}{state}"


def route_words(source: str, destination: str) -> str:
    """What attention carries from where to where.

    >>> route_words("alias", "prompt_last")
    'alias → last prompt token'
    """
    return f"{role_words(source)} → {role_words(destination)}"


def module_words(module: str) -> str:
    """A module's or a parameter's name, the layer in words and without what all names begin with.

    >>> module_words("gpt_neox.layers.0.attention.dense"), module_words("transformer.wte")
    ('layer 0, attention.dense', 'wte')
    >>> module_words("model.layers.1.self_attn.o_proj.head.3.W_O")
    'layer 1, self_attn.o_proj, head 3, W_O'
    >>> module_words("gpt_neox.embed_in x lm_head")
    'embed_in x lm_head'
    """
    if " x " in module:
        return " x ".join(map(module_words, module.split(" x ")))
    name = re.sub(r"\.((?:kv_)?head)\.(\d+)(?:\.|$)", r", \1 \2, ", module).removesuffix(", ")
    found = re.fullmatch(r"(?:.*\.)?(?:layers|h|blocks|block)\.(\d+)\.(.+)", name)
    if found:
        return f"layer {found[1]}, {found[2]}"
    return re.sub(r"^(?:gpt_neox|transformer|model|decoder)\.", "", name)


def address_words(address: str) -> str:
    """An activation as tables write it, in words; other text stays as it is.

    >>> address_words("resid_post.1 at alias_last"), address_words("z.0.3@tag")
    ('stream after layer 1 at the last alias token', 'layer 0, head 3 at the tag')
    >>> address_words("everywhere")
    'everywhere'
    """
    found = ADDRESS.fullmatch(address)
    if found is None:
        return address
    site, layer, head, role = found.groups()
    words = site_words(site, int(layer), -1 if head is None else int(head))
    return words if role is None else f"{words} {at_words(role)}"
