"""Random taxonomies and items to judge, and the layouts that show them."""

from typing import Any

from hypothesis import strategies as st

from curate.labels import ItemContext, Layout, Taxonomy, Turn, parse_layout
from curate.labels.taxonomy.checks import name_key

HOSTILE = (
    'A & B <x> "y"',
    "怒り",
    "${text}",
    "$text",
    "a'b",
    "--",
    "]]>",
    "Jealousy, Envy",
    "فرح",
    "😀👩‍👩‍👧",
    "a/b\\c",
    "&amp;",
    "x=1;y",
)
BOOLEANS = ("true", "false")
"""Labels that a taxonomy may have and a form refuses."""

LAYOUT = """<View>
  <Video name="Film" value="$video" frameRate="$fps"/>
  <Audio name="Sound" value="$audio"/>
  <Image name="Picture" value="$image"/>
  <Paragraphs name="Talk" value="$dialogue" layout="dialogue" nameKey="speaker" textKey="text"/>
  <Text name="Words" value="$text"/>
  <Text name="A" value="$a"/>
  <Text name="B" value="$b"/>
  <Fields toName="Words"/>
</View>"""

SOUND_LAYOUT = "".join(line for line in LAYOUT.splitlines() if "<Video" not in line)

LETTERS = st.characters(exclude_categories=("Cs", "Cc", "Cn", "Co", "Zl", "Zp"))
PROSE = st.text(LETTERS | st.sampled_from("😀🤦🏽‍♀️ab c\n"), min_size=1, max_size=60)
"""Text with characters inside and outside of the basic plane."""


def layout_for(item: ItemContext) -> Layout:
    """A layout that shows the item, with its video if it has one."""
    return parse_layout(LAYOUT if item.fps else SOUND_LAYOUT)


def names(max_size: int = 6) -> st.SearchStrategy[list[str]]:
    """Distinct names of labels, some of them hostile."""
    usable = (st.sampled_from(HOSTILE) | st.text(LETTERS, min_size=1, max_size=12)).filter(_is_name)
    return st.lists(usable, min_size=1, max_size=max_size, unique_by=name_key)


def _is_name(name: str) -> bool:
    if name in BOOLEANS:
        return False
    try:
        Taxonomy.model_validate({"taxonomy": "t.v1", "title": "T", "labels": [name]})
    except ValueError:
        return False
    return True


@st.composite
def taxonomies(draw: Any, *, max_size: int = 6) -> Taxonomy:
    """Flat taxonomies and trees."""
    labels = draw(names(max_size))
    rows: list[dict[str, Any]] = []
    for index, name in enumerate(labels):
        row: dict[str, Any] = {"name": name}
        if index and draw(st.booleans()):
            row["parent"] = labels[draw(st.integers(0, index - 1))]
        rows.append(row)
    return Taxonomy.model_validate({"taxonomy": "t.v1", "title": "A & B", "labels": rows})


@st.composite
def items(draw: Any, *, video: bool = False) -> ItemContext:
    """Items with a text and a dialogue; with ``video``, all have one."""
    turns = draw(st.lists(st.tuples(st.none() | PROSE, PROSE.filter(str.strip)), min_size=1, max_size=4))
    return ItemContext(
        text=draw(PROSE.filter(str.strip)),
        dialogue=tuple(Turn(speaker, text) for speaker, text in turns),
        duration_s=draw(st.none() | st.floats(0.5, 500).map(lambda s: round(s, 3))),
        fps=draw(st.sampled_from([*([] if video else [None]), 25.0, 30.0, 29.97, 23.976, 12.5, 60.0])),
        width_px=draw(st.none() | st.integers(1, 4000)),
        height_px=draw(st.none() | st.integers(1, 4000)),
    )
