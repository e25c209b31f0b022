"""What a model card says, and what it says it does not know."""

from gkm.registry.card import LIMITS, LONGEST, CardScore, model_card, promotion_sentence, summary_of, with_promotion

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


EVENT = {"event": "promoted", "time": "2026-01-31T12:00:00.000000Z", "version": 3, "reason": "all 2 gates passed"}
GATES = [("PSNR on sample", True, "+0.627 dB, 95 % interval +0.212 to +1.043"), ("memory", True, "1.00 GB | fine")]


def test_what_became_of_a_version_stands_in_front_of_its_data_and_replaces_what_was_said_before() -> None:
    plain = model_card(**KNOWN, scores=[], data="DPD", summary="Best of 8 trials.")
    sentence = promotion_sentence(EVENT)
    assert sentence == "Promoted on 2026-01-31 12:00:00 UTC: all 2 gates passed."
    card = with_promotion(plain, sentence, GATES)
    assert card == with_promotion(card, sentence, GATES)
    assert card.index("## Scores") < card.index("## Promotion") < card.index("## Data") < card.index("## Limits")
    assert "| PSNR on sample | pass | +0.627 dB, 95 % interval +0.212 to +1.043 |" in card
    assert "| memory | pass | 1.00 GB \\| fine |" in card
    assert card.replace(card[card.index("## Promotion") : card.index("## Data")], "") == plain
    back = with_promotion(card, "Rolled back on 2026-02-01: halos.")
    assert back.index("Rolled back") < back.index("Promoted on") < back.index("| PSNR on sample")
    again = with_promotion(back, "Refused on 2026-02-02: one gate failed.", [("PSNR on sample", False, "-0.1 dB")])
    assert "Promoted on" not in again
    assert "| PSNR on sample | FAIL | -0.1 dB |" in again
    assert promotion_sentence({**EVENT, "event": "looked"}) is None


def test_a_description_of_before_stays_and_gets_what_became_of_it() -> None:
    card = with_promotion("Best of 8 trials: 31.00 dB.", "Promoted.", GATES)
    assert card.startswith("Best of 8 trials: 31.00 dB.\n\n## Promotion\n\nPromoted.\n\n| gate | | figures |")
    assert [summary_of(text) for text in (card, "", "# T\n\nOne line.\n\n## S", "# T")] == [
        "Best of 8 trials: 31.00 dB.", "", "One line.", ""
    ]  # fmt: skip


def test_a_card_fits_every_store_and_failed_gates_stay_longest() -> None:
    card = model_card(**KNOWN, scores=[], data="d")
    many = [(f"gate {number}", number != 7, "x" * 300) for number in range(30)]
    made = with_promotion(card, "Refused.", many)
    assert len(made) <= LONGEST
    assert "gate 7 | FAIL" in made
    assert "gate 8" not in made
    assert len(with_promotion("y" * 6000, "Refused.", many)) == LONGEST


def test_a_card_keeps_no_password() -> None:
    address = "https://ann:hunter2@example.org/w.pth?token=t0p"
    card = model_card(**KNOWN, scores=[], data=address, source=address, summary=address, licence=address)
    told = with_promotion(card, f"Promoted: {address}", [("PSNR", True, address)])
    assert "hunter2" not in told
    assert "t0p" not in told
