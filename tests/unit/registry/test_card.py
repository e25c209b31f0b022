"""What a model card says, and what it says it does not know."""

from gkm.registry.card import LIMITS, CardScore, model_card

KNOWN = {"name": "gkmnet version 3", "network": "GKMNet of width 32", "parameters": 1_409_131, "photographs": 76}


def test_a_card_has_scores_with_intervals_data_licence_source_and_limits() -> None:
    scores = [
        CardScore(metric="PSNR (dB)", restored=25.468, blurred=23.89, interval=(24.9, 26.04)),
        CardScore(metric="LPIPS", restored=0.21934, digits=3),
    ]
    card = model_card(**KNOWN, scores=scores, data="DPD, abc123", licence="MIT", source="https://example.org/w.pth")
    assert card.startswith("# gkmnet version 3\n\nGKMNet of width 32, 1,409,131 parameters.")
    assert "Means over 76 test photographs, with intervals of 95 %." in card
    assert "| PSNR (dB) | 25.47 | 24.90 to 26.04 | 23.89 |" in card
    assert "| LPIPS | 0.219 | unknown | not measured |" in card
    for part in ("## Data\n\nDPD, abc123", "## Licence\n\nMIT", "## Source\n\nhttps://example.org/w.pth"):
        assert part in card
    assert all(f"- {limit}" in card for limit in LIMITS)


def test_what_is_not_known_is_said_and_texts_cannot_break_out() -> None:
    card = model_card(**KNOWN, scores=[], data="a | b\n# heading")
    assert "Not measured on test photographs." in card
    assert "Not stated: ask whoever trained it" in card
    assert "## Source" not in card
    assert "\na \\| b # heading\n" in card
