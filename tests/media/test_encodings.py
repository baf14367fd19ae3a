"""Text in any encoding is read in the one that makes words of its language."""

import pytest

from curate.media.words.encodings import decode_text

SAID = {
    "cp1252": [
        "façade où déjà", "Señor, ¿dónde está el niño?", "Você não é meu irmão, está bem?", "Größe und Übermut tun weh",
        "Jeg er så glad i deg, kjære søster", "“Don’t,” she said — “please…”", "L'été dernier, à Noël",
        "Þú ert bara að ljúga að mér, góði minn", "Perché non me l'hai detto? È così",
    ],
    "cp1250": [
        "Zażółć gęślą jaźń, proszę cię", "Příliš žluťoučký kůň úpěl ďábelské ódy",
        "Őrült vagy, és nem értem, miért",
    ],
    "cp1257": ["Ką tu čia darai? Aš tavęs nekenčiu, žinai?", "Es tevi mīlu, bet tu to nezini, vai ne? Kāpēc šķiries?"],
    "cp1254": ["Neden böyle yapıyorsun? Şimdi çok kızgınım, değil mi?"],
    "cp1251": ["Привет, как дела? Я тебя ненавижу", "Защо ме излъга? Аз съм много ядосана",
               "Я їжу їхній хліб, і це є добре"],
    "koi8_r": ["Привет, как дела? Я тебя ненавижу"],
    "cp866": ["Привет, как дела? Я тебя ненавижу"],
    "cp1253": ["Γιατί μου είπες ψέματα; Είμαι έξαλλος"],
    "cp1255": ["למה שיקרת לי? אני כועסת עליך"],
    "cp1256": ["لماذا كذبت علي؟ أنا غاضب منك جدا"],
    "cp874": ["ทำไมคุณโกหกฉัน ฉันโกรธมาก"],
    "cp932": ["どうして嘘をついたの?とても怒っています"],
    "gb18030": ["你为什么要骗我?我非常生气,真的。"],
    "cp949": ["왜 나한테 거짓말했어? 정말 화가 나요"],
    "mac_roman": ["façade où déjà vu, c'est l'été"],
    "utf-16-le": ["Hello there, friend"],
    "utf-16": ["Où êtes-vous ?"],
}  # fmt: skip


@pytest.mark.parametrize(("encoding", "said"), [(name, text) for name, texts in SAID.items() for text in texts])
def test_the_language_decides(encoding, said):
    decoded = decode_text(f"1\n00:00:01,000 --> 00:00:02,000\n{said}\n".encode(encoding))
    assert decoded.text.splitlines()[2] == said
    assert decoded.doubt is None


def test_a_text_of_many_lines():
    lines = "\n".join(f"{number}\n{said}" for number, said in enumerate(SAID["cp1252"][:1] * 400))
    assert decode_text(lines.encode("cp1252")).text == lines


@pytest.mark.parametrize("raw", [b"\xc0\xc1 \xe8", bytes(range(0x80, 0x100))])
def test_what_is_unclear_is_reported(raw):
    doubt = decode_text(raw).doubt
    assert doubt is not None
    assert "save it as UTF-8" in doubt


def test_an_expected_language_settles_it():
    said = "Žinai, šuo"
    assert decode_text(said.encode("cp1257"), language="lt").text == said
