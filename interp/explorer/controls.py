"""The explorer's controls: each with a name, and a tooltip that says what it does.

They wrap in a narrow column, and none is wider than it.
"""

from typing import Any

import ipywidgets as widgets

from interp.explorer.typed import Typed

WIDTH, LABEL = "290px", "126px"
WIDE = "540px"
"""Of controls that hold a text."""
FIELDS = {
    "prompt": ("your prompt", "a text without its answer, to ask the model instead"),
    "answer": ("its answer", "what should come next"),
    "corrupted": ("your corrupted", "the same text with something changed, to patch with"),
    "corrupted_answer": ("and its answer", "of the corrupted prompt; empty: what the model says"),
}
"""What is typed, each with what stands before its field, and what it is for."""


def dropdown(
    name: str, tooltip: str, options: Any = (), *, is_wide: bool = False
) -> widgets.Dropdown:
    """A menu with its name before it."""
    return widgets.Dropdown(options=options, **_named(name, tooltip, is_wide))


def text_field(name: str, tooltip: str, *, is_wide: bool = False) -> widgets.Text:
    """A field to type into."""
    return widgets.Text(placeholder=tooltip, **_named(name, tooltip, is_wide))


def button(name: str, tooltip: str, *, disabled: bool = False) -> widgets.Button:
    """A button with its name on it."""
    layout = widgets.Layout(width="auto", max_width="100%")
    return widgets.Button(description=name, tooltip=tooltip, disabled=disabled, layout=layout)


def wrapped(controls: list[Any]) -> widgets.HBox:
    """Controls side by side, in as many rows as they need."""
    layout = widgets.Layout(flex_flow="row wrap", align_items="center", width="100%")
    return widgets.HBox(controls, layout=layout)


def fill(menu: widgets.Dropdown, options: Any, value: object) -> None:
    """Gives a menu its options and its value, where they are others."""
    if tuple(menu.options) != tuple(options):
        menu.options = options
    if menu.value != value:
        menu.value = value


class TypedPrompt:
    """The fields to type a prompt into.

    Attributes:
        fields: By the names of `Typed`.
        ask: The button that asks it.
        back: The button that goes back to the menus' prompt.
        box: All of them.
    """

    def __init__(self) -> None:
        """Makes empty fields."""
        self.fields = {
            name: text_field(words, tooltip, is_wide=not name.endswith("answer"))
            for name, (words, tooltip) in FIELDS.items()
        }
        self.ask = button("ask this", "shows what the model makes of the typed prompt")
        self.back = button(
            "back to the menus", "shows the prompt that the menus name", disabled=True
        )
        self.box = wrapped([*self.fields.values(), self.ask, self.back])
        self._filled = Typed(prompt="", answer="")

    @property
    def typed(self) -> Typed:
        """What the fields hold."""
        return Typed(**{name: field.value for name, field in self.fields.items()})

    def suggest(self, shown: Typed) -> None:
        """Fills in what is shown, to be edited; what a person typed stays."""
        if self.typed == self._filled:
            for name, field in self.fields.items():
                field.value = getattr(shown, name)
            self._filled = shown


def _named(name: str, tooltip: str, is_wide: bool) -> dict[str, Any]:
    layout = widgets.Layout(width=WIDE if is_wide else WIDTH, max_width="98%")
    style = {"description_width": LABEL}
    return {"description": name, "tooltip": tooltip, "layout": layout, "style": style}
