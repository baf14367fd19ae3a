"""A Whisper model in the files that faster-whisper loads, of one layer and chance weights."""

from pathlib import Path

import numpy as np


def make_model(folder: Path) -> Path:
    """The folder of a model that babbles in bytes."""
    from ctranslate2.specs import WhisperSpec
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = ("endoftext", "startoftranscript", "en", "transcribe", "translate")
    special = [f"<|{name}|>" for name in (*names, "startoflm", "startofprev", "nospeech", "notimestamps")]
    stamps = [f"<|{place * 0.02:.2f}|>" for place in range(1501)]
    tokenizer = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.add_tokens([AddedToken(token, special=False) for token in stamps])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))

    width, wide, random = 64, 128, np.random.default_rng(0)

    def fill(spec, *shape):
        spec.weight = random.normal(0, 0.05, shape).astype(np.float32)
        spec.bias = np.zeros(shape[0], np.float32)

    def fill_norm(spec):
        spec.gamma, spec.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    def fill_layer(layer):
        fill_norm(layer.self_attention.layer_norm)
        fill(layer.self_attention.linear[0], 3 * width, width)
        fill(layer.self_attention.linear[1], width, width)
        fill_norm(layer.ffn.layer_norm)
        fill(layer.ffn.linear_0, wide, width)
        fill(layer.ffn.linear_1, width, wide)

    spec = WhisperSpec(1, 1, 1, 1)
    fill(spec.encoder.conv1, width, 80, 3)
    fill(spec.encoder.conv2, width, width, 3)
    spec.encoder.position_encodings.encodings = random.normal(0, 0.05, (1500, width)).astype(np.float32)
    spec.decoder.position_encodings.encodings = random.normal(0, 0.05, (448, width)).astype(np.float32)
    spec.decoder.embeddings.weight = random.normal(0, 0.05, (len(letters + special + stamps), width)).astype(np.float32)
    spec.decoder.projection.weight = spec.decoder.embeddings.weight
    for half in (spec.encoder, spec.decoder):
        fill_norm(half.layer_norm)
        fill_layer(half.layer[0])
    fill_norm(spec.decoder.layer[0].attention.layer_norm)
    for linear, rows in zip(spec.decoder.layer[0].attention.linear, (1, 2, 1), strict=True):
        fill(linear, rows * width, width)
    spec.config.suppress_ids = spec.config.suppress_ids_begin = spec.config.lang_ids = []
    spec.config.alignment_heads = [(0, 0)]
    spec.register_vocabulary([*letters, *special, *stamps])
    spec.validate()
    spec.save(str(folder))
    return folder
