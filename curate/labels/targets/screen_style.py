"""How every form looks: what is judged on one side and the questions on the other, as large and dense as fits."""

from xml.etree import ElementTree as ET

FORM = """
    .task { display: flex; gap: 20px; align-items: flex-start; }
    .item { flex: 1 1 560px; min-width: 480px; container-type: inline-size; }
    .form { flex: 0 1 560px; min-width: 320px; max-height: calc(100vh - 120px); overflow: auto; }
    .task h4 { margin: 0 0 2px !important; font-size: 15px; line-height: 20px; }
    .task h4:empty { display: none; }
    .field { margin-bottom: 8px; }
    .field h4 + h4, .intensity h4, .group h4, .cannot-judge h4 { font-size: 13px !important; line-height: 18px; }
    .field h4 + h4, .intensity h4, .group h4, .cannot-judge h4 { font-weight: 400 !important; color: #6b6b76; }
    .field .lsf-choices, .cannot-judge .lsf-choices { display: flex; flex-wrap: wrap; gap: 2px 12px; margin: 0; }
    .field .lsf-choice, .cannot-judge .lsf-choice { margin: 0 !important; }
    .field .lsf-choice__item, .cannot-judge .lsf-choice__item { margin: 0 !important; padding: 0 !important; }
    .field .lsf-choice__checkbox { margin: 0 !important; min-height: 0 !important; line-height: 22px; }
    .lsf-hint { color: #6b6b76; font-weight: 400; }
    .field-scale .lsf-choices { flex-wrap: nowrap; justify-content: flex-start; gap: 2px; }
    .field-scale .lsf-choice { flex: 0 1 52px; }
    .field-scale .lsf-choice label { display: flex; flex-direction: column; align-items: center; margin: 0; }
    .field-scale .lsf-choice label span { padding: 0; text-align: center; }
    .field-scale .lsf-hint { display: block; top: 0; line-height: 12px; font-size: 9px; white-space: nowrap; }
    .group { display: flex; flex-wrap: wrap; gap: 2px 12px; width: 100%; margin-bottom: 2px; }
    .group h4 { flex: 1 0 100%; }
    .intensity { display: flex; align-items: center; gap: 12px; }
    .intensity h4 { flex: 0 0 90px; }
    .cannot-judge { border-top: 1px solid #e1dedc; padding-top: 4px; }
    .cannot-judge label { font-size: 12px; font-weight: 400; }
    .said { margin-top: 8px; padding: 8px 12px; border-left: 4px solid #f0b400; background: #fff7d6; color: #1f1f1f; }
    .said:not(:has(h4:not(:empty))):has(.lsf-richtext__line:only-child:empty) { display: none; }
    .context { margin-top: 8px; max-height: 130px; overflow: auto; }
    .context:has([class*=dialoguetext]:empty) { display: none; }
    .context [class*=wrapper_header], .context [class*=time--] { display: none; }
    .context [class*=selectAllBtnWrapper] { display: none; }
    .context [class*=phrase--] { margin-bottom: 4px; padding-top: 2px; padding-bottom: 2px; }
    .claim { padding: 12px 16px; border: 2px solid #457b9d; background: #e8f1f8; color: #1f1f1f; }
    .claim { font-size: 16px; margin-bottom: 12px; }
    .item .lsf-video__main { height: min(56.25cqw, calc(100vh - var(--below, 300px))) !important; }
    .item:has(.context) { --below: 440px; }
    .item:has(.context [class*=dialoguetext]:empty) { --below: 300px; }
  """
_WITHOUT_PANELS = """
    .lsf-sidepanels__wrapper { display: none; }
    .lsf-sidepanels[style*="padding-right"] { padding-right: 0 !important; }
  """
"""The side panels list regions, which only some forms have."""
_WITHOUT_DEGREE_KEYS = """
    .intensity .lsf-hint { display: none; }
  """


def style_tags(*, has_regions: bool, has_degree_keys: bool) -> list[ET.Element]:
    """Return the styles of a form; those of its layout come after them, and win."""
    rules = [FORM, *([] if has_regions else [_WITHOUT_PANELS]), *([] if has_degree_keys else [_WITHOUT_DEGREE_KEYS])]
    tags = []
    for rule in rules:
        tag = ET.Element("Style")
        tag.text = rule
        tags.append(tag)
    return tags
