"""A release described for machines: Croissant 1.0 with the fields of its extension for responsible AI.

The format is that of MLCommons: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html and
https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from curate.hub.card_facts import CardFacts, Configuration, Counts
from curate.hub.card_people import agreement_sentences, limitations
from curate.hub.citation import contact_of
from curate.sentences import count_of

FILE = "croissant.json"
_CONFORMS_TO = ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"]
_TYPES = {
    "string": "sc:Text",
    "bool": "sc:Boolean",
    **dict.fromkeys(("int32", "int64"), "sc:Integer"),
    **dict.fromkeys(("float32", "float64"), "sc:Float"),
    "timestamp[us, tz=UTC]": "sc:DateTime",
}
_MEDIA = {"Image": "sc:ImageObject", "Audio": "sc:AudioObject", "Video": "sc:VideoObject"}
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context of Croissant 1.0, as its specification gives it"""


class ShardFile(Protocol):
    """A Parquet file of a release."""

    @property
    def path(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...


def croissant_file(facts: CardFacts, counts: Counts, files: Sequence[ShardFile]) -> str:
    """Return the description as JSON-LD, with paths relative to the release and the hash of each of its ``files``.

    There is a record set for each split of each configuration. Columns of nested values, such as ``judgements``, are in
    the files and only named in the description.
    """
    configurations = list(
        {configuration.folder: configuration for configuration in reversed(facts.configurations)}.values()
    )[::-1]
    nested = [name for name, feature in facts.configurations[0].features.items() if not _data_type(feature)]
    sets = [
        (configuration, split, count) for configuration in configurations for split, count in configuration.rows.items()
    ]
    description = facts.credits.description or f"{facts.name}: {count_of(sum(counts.rows.values()), 'item')}."
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _CONFORMS_TO,
        "name": facts.name,
        "description": f"{description} Columns of nested values are not described field by field: {', '.join(nested)}.",
        "version": facts.version,
        **_credits(facts),
        **({"license": facts.licence_url or facts.licence} if facts.licence else {}),
        **({"inLanguage": list(facts.languages)} if facts.languages else {}),
        "keywords": ["affective computing", "emotion"],
        **dict(_responsible(facts, counts)),
        "distribution": [
            *map(_file_object, files),
            *(_file_set(configuration, split) for configuration, split, _ in sets),
        ],
        "recordSet": [_record_set(*described) for described in sets],
    }
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    # Names may hold half a surrogate pair, which no file can.
    return text.encode("utf-8", "replace").decode("utf-8")


def _credits(facts: CardFacts) -> dict[str, Any]:
    makers = facts.credits
    properties: dict[str, Any] = {}
    if makers.authors:
        properties["creator"] = [{"@type": "sc:Organization", "name": name} for name in makers.authors]
    if makers.citation:
        properties["citeAs"] = makers.citation
    if makers.contact:
        name = {"name": f"The makers of {facts.name}"}
        properties["publisher"] = [{"@type": "sc:Organization", **name, **contact_of(makers.contact, address="url")}]
    return properties


def _responsible(facts: CardFacts, counts: Counts) -> Iterator[tuple[str, Any]]:
    """Yield the fields of the extension for responsible AI, each from a figure of the release."""
    if facts.questions:
        protocol = [f"{name}: {question}" for name, question in facts.questions.items()]
        yield "rai:dataAnnotationProtocol", protocol
    if facts.platforms:
        yield "rai:dataAnnotationPlatform", list(facts.platforms)
    if analysis := agreement_sentences(facts):
        yield "rai:dataAnnotationAnalysis", analysis
    if counts.raters:
        raters_of_items = (
            f"{count_of(items, 'item')}: {count_of(raters, 'rater')}" for raters, items in sorted(counts.raters.items())
        )
        yield "rai:annotationsPerItem", "; ".join(raters_of_items)
    if counts.proposals:
        yield "rai:machineAnnotationTools", sorted(counts.proposals)
    if days := sorted(counts.judged_on):
        yield "rai:dataCollectionTimeFrame", [days[0], days[-1]] if len(days) > 1 else [days[0]]
    if limits := limitations(facts, counts):
        yield "rai:dataLimitations", limits
    sensitive = [
        words
        for words, is_so in (
            ("faces of people", counts.modalities["image"] or counts.faces),
            ("voices of people", counts.modalities["audio"]),
            ("videos of people", counts.modalities["video"]),
            ("names of speakers", counts.speakers),
        )
        if is_so
    ]
    if sensitive:
        yield "rai:personalSensitiveInformation", sensitive


def _file_object(shard: ShardFile) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": shard.path,
        "name": shard.path,
        "contentUrl": shard.path,
        "contentSize": f"{shard.size_bytes} B",
        "encodingFormat": "application/x-parquet",
        "sha256": shard.sha256,
    }


def _file_set(configuration: Configuration, split: str) -> dict[str, Any]:
    name = f"{_name(configuration, split)}-files"
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "encodingFormat": "application/x-parquet",
        "includes": f"{configuration.folder}/{split}-*.parquet",
    }


def _name(configuration: Configuration, split: str) -> str:
    """Return the name of a record set: ``train``, or ``judgements/train`` in another configuration than the default."""
    return split if configuration.name == "default" else f"{configuration.name}/{split}"


def _record_set(configuration: Configuration, split: str, count: int) -> dict[str, Any]:
    name = _name(configuration, split)
    described = {column: feature for column, feature in configuration.features.items() if _data_type(feature)}
    is_of_items = configuration.name in ("default", "labels")
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"Configuration {configuration.name}, split {split}: {count_of(count, 'row')}.",
        **({"key": {"@id": f"{name}/item_id"}} if is_of_items else {}),
        "field": [_field(name, column, feature) for column, feature in described.items()],
    }


def _field(records: str, name: str, feature: Mapping[str, Any]) -> dict[str, Any]:
    inner = feature["feature"] if feature.get("_type") == "List" else feature
    names = inner.get("names")
    source: dict[str, Any] = {"fileSet": {"@id": f"{records}-files"}, "extract": {"column": name}}
    if inner.get("_type") in _MEDIA:
        source["transform"] = {"jsonPath": "bytes"}
    return {
        "@type": "cr:Field",
        "@id": f"{records}/{name}",
        "name": name,
        **({"description": f"Numbers of these labels, from 0: {', '.join(names)}"} if names else {}),
        "dataType": _data_type(feature),
        **({"repeated": True} if feature.get("_type") == "List" else {}),
        "source": source,
    }


def _data_type(feature: Mapping[str, Any]) -> str:
    """Return the type of a column of single values, of lists of such, or of files; empty for nested values."""
    match feature.get("_type"):
        case "Value":
            return _TYPES[feature["dtype"]]
        case "ClassLabel":
            return "sc:Integer"
        case "List" if feature["feature"].get("_type") in ("Value", "ClassLabel"):
            return _data_type(feature["feature"])
        case kind if isinstance(kind, str):
            return _MEDIA.get(kind, "")
    return ""
