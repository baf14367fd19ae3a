"""Layouts of strangers: nothing runs script in an annotator's browser or calls another server."""

import pytest

from curate.assets import list_assets
from curate.errors import InvalidInput
from curate.labels import parse_layout
from curate.labels.markup import read_xml, safety_problems

FORM = '<View>\n{}\n<Text name="Words" value="$text"/><Fields toName="Words"/></View>'


@pytest.mark.parametrize("name", sorted(list_assets("annotation_ui_configs", suffix=".xml")))
def test_every_shipped_layout_is_safe(name):
    text = list_assets("annotation_ui_configs", suffix=".xml")[name].read_text("utf-8")
    assert safety_problems(read_xml(text, name)) == []


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ('<HyperText name="h" value="$text"/>', "HyperText"),
        ("<Style>.a { background: url(http://evil.example/x) }</Style>", "style"),
        ("<Style>.a { background: URL ('x') } .b { background: image-set('x' 1x) }</Style>", "image-set"),
        ("<Style>@import '//evil.example/x.css';</Style>", "@import"),
        ("<Style>@font-face { font-family: a }</Style>", "@font-face"),
        (r"<Style>.a { background: \75rl(x) }</Style>", "style"),
        ("<Style>.a { color: red }<View/> @import 'x';</Style>", "@import"),
        ('<View style="background: url(x)"/>', "style"),
        ('<Image name="i" value="https://evil.example/p.png"/>', "address"),
        ('<Image name="i" value="$text"/>', r"\$text"),
        ('<Video name="i" value="$statement"/>', r"\$statement"),
        ('<Paragraphs name="p" value="$dialogue" audioUrl="$text"/>', r"\$text"),
        ('<Text name="t" value="$text" valueType="url"/>', "valueType"),
        ('<View onclick="alert(1)"/>', "onclick"),
        ('<Choice value="a" html="&lt;img src=x onerror=alert(1)&gt;"/>', "html"),
    ],
)
def test_layouts_that_run_script_or_call_home_are_refused_with_their_line(part, words):
    with pytest.raises(InvalidInput) as refused:
        parse_layout(FORM.format(part), name="evil.xml")
    assert any(problem.startswith("evil.xml:2: ") for problem in refused.value.problems)
    with pytest.raises(InvalidInput, match=words):
        raise InvalidInput("\n".join(refused.value.problems))


def test_styles_that_only_arrange_are_allowed():
    rules = ".a:not(.b) { width: calc(100% - 2px); color: rgb(1, 2, 3) } @media (width: 9px) { .c { top: 0 } }"
    assert parse_layout(FORM.format(f"<Style>{rules}</Style>")).default == "Words"


@pytest.mark.parametrize("depth", [200, 3_000, 100_000])
def test_a_layout_nested_too_deeply_is_one_sentence(depth):
    with pytest.raises(InvalidInput, match="nested more than 100 deep"):
        parse_layout(FORM.format("<View>" * depth + "</View>" * depth))
