"""What a release says of the people and models behind it, and the documents beside its shards."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.annotation.guideline import find_guideline
from curate.consensus.agreement.design import has_arms
from curate.consensus.agreement.rows import AgreementRow, agreement_rows
from curate.consensus.audit.evidence import PRELABEL_COLUMNS
from curate.consensus.audit.rows import Options, figure_name, topic_of
from curate.consensus.audit.summary import summary_rows
from curate.corpus.judgements import current_judgements, is_prefilled
from curate.corpus.splitting.keys import speakers_of
from curate.corpus.view import Corpus
from curate.hub import citation, croissant
from curate.hub.card import render_card
from curate.hub.card_facts import AuditFigure, CardFacts, ModelUse
from curate.labels import DEFAULT_LANGUAGE
from curate.release.manifest import CARD
from curate.release.rows import ReleaseTables
from curate.release.statistics import Statistics
from curate.release.write import Plan, Written
from curate.stages.contract import Tools

DRAWS, MAX_DRAWN = 200, 200_000
"""Bootstrap draws for intervals, and the judgements up to which there are intervals and audits"""
_ACTS = (
    *("annotation_id", "judgement_id", "item_id", "annotator", "arm", "action", "acted_at", "origins"),
    *("prelabel_id", "guideline_sha256", "server"),
)


def release_documents(template: str, facts: CardFacts, counts: Statistics, written: Written) -> dict[str, str]:
    """Return the card, the citation file and the Croissant description of a release, by file name."""
    return {
        CARD: render_card(template, facts, counts),
        citation.FILE: citation.citation_file(facts),
        croissant.FILE: croissant.croissant_file(facts, counts, written.files),
    }


def licence_facts(licence: str | None) -> dict[str, Any]:
    """Return a licence as the facts of a card have it, with its address if it is one of SPDX."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    if not licence:
        return {"licence": licence}
    try:
        name = str(canonicalize_license_expression(licence))
    except InvalidLicenseExpression:
        return {"licence": licence}
    is_single = " " not in name and not name.startswith("LicenseRef-")
    url = f"https://spdx.org/licenses/{name}" if is_single else ""
    return {"licence": name if is_single else licence, "licence_url": url, "is_spdx": is_single}


def people_facts(corpus: Corpus, tables: ReleaseTables, plan: Plan, tools: Tools) -> dict[str, Any]:
    """Return the facts of a card on agreement, instructions, models and consent, about the released items alone."""
    released = tables.items["source_id"].take(pa.array(np.concatenate(list(plan.splits.values()))))
    acts = corpus.read("annotations", [*_ACTS, *tools.labels.fields])
    visible_indices = [pa.array(items) for split, items in plan.splits.items() if split not in plan.hidden]
    visible = tables.items.select(["item_id", "source_id", "speaker"]).take(
        pa.chunked_array(visible_indices, pa.int64())
    )
    visible_ids = visible["item_id"]
    judgements = current_judgements(acts.filter(pc.is_in(acts["item_id"], value_set=visible_ids)))
    sources = corpus.read("sources", ["source_id", "consent", "participant"])
    consents = sources.filter(pc.is_in(sources["source_id"], value_set=released))["consent"].to_pylist()
    return {
        "agreement": _agreement(tools, judgements),
        **_audit(corpus, visible, judgements, sources, tools),
        "platforms": ("Label Studio",) if judgements["server"].null_count < judgements.num_rows else (),
        "models": _models(corpus, visible_ids),
        "consents": dict(Counter(consent or "" for consent in consents)),
        **_instructions(judgements["guideline_sha256"], tools),
    }


def _agreement(tools: Tools, judgements: pa.Table) -> list[AgreementRow]:
    draws = DRAWS if judgements.num_rows <= MAX_DRAWN else 0
    rows = list(agreement_rows(tools.labels, judgements, draws=draws, seed=tools.seed))
    if has_arms(judgements):
        rows += agreement_rows(tools.labels, judgements, by="arm", draws=draws, seed=tools.seed)
    return rows


def _audit(corpus: Corpus, items: pa.Table, judgements: pa.Table, sources: pa.Table, tools: Tools) -> dict[str, Any]:
    """Return the audit of the proposals, or how many judgements are too many for it."""
    blind = int((~is_prefilled(judgements)).sum())
    prelabels = corpus.read("prelabels", [*PRELABEL_COLUMNS, *tools.labels.fields] if blind else ["item_id"])
    prelabels = prelabels.filter(pc.is_in(prelabels["item_id"], value_set=items["item_id"]))
    if not blind or not prelabels.num_rows:
        return {}
    if judgements.num_rows > MAX_DRAWN:
        return {"unaudited": blind}
    options = Options(DRAWS, seed=tools.seed)
    rows = summary_rows(tools.labels, judgements, prelabels, speakers=speakers_of(items, sources), options=options)
    return {
        "audit": [
            AuditFigure(
                topic_of(row),
                row.field, row.group, row.measure, figure_name(row), row.value, row.low, row.high, row.items,
                row.raters, row.note,
            )
            for row in rows
        ]
    }  # fmt: skip


def _models(corpus: Corpus, items: pa.ChunkedArray) -> list[ModelUse]:
    columns = ["item_id", "labeller", "model", "model_answered", "prompt", "prompt_sha256"]
    rows = corpus.read("prelabels", columns)
    rows = rows.filter(pc.is_in(rows["item_id"], value_set=items))
    rows = rows.append_column("asked", pc.coalesce(rows["model_answered"], rows["model"]))
    keys = ["labeller", "asked", "prompt", "prompt_sha256"]
    grouped = rows.group_by(keys).aggregate([("item_id", "count_distinct")]).to_pylist()
    uses = [(*(row[key] or "" for key in keys), row["item_id_count_distinct"]) for row in grouped]
    return [ModelUse(*use) for use in sorted(uses)]


def _instructions(hashes: pa.ChunkedArray, tools: Tools) -> dict[str, Any]:
    """Return the guideline of the recipe if raters had it, and how many judgements were made with another one."""
    stated = Counter(name for name in hashes.to_pylist() if name)
    annotate = next((stage for stage in tools.stages if stage.stage == "annotate"), None)
    language = getattr(annotate, "language", DEFAULT_LANGUAGE)
    added = getattr(annotate, "instructions", "")
    guideline = find_guideline(tools.labels, language, tools.folder, added if isinstance(added, str) else "")
    had = stated[guideline.sha256]
    return {"instructions": guideline.text if had else "", "other_guidelines": stated.total() - had}
