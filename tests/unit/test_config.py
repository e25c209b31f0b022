"""Settings: what is refused and with which words, and that fingerprints follow settings and nothing else."""

import json
from typing import Literal, get_args, get_origin

import pytest

from gkm.config import (
    ModelConfig,
    NetworkConfig,
    Settings,
    TrialConfig,
    network_kinds,
    register_settings,
    setting_paths,
)
from gkm.errors import InputError

CANDIDATES = (True, False, 1, 2, 3, 5, 9, 128, 0.5, [128])
SOME = ("model.width", "model.gcm", "data.flips", "optim.clip_norm", "training.precision", "loss.schedule")
NEEDED = {
    ("gkmnet", "model.bank"): {"model.num_kernels": 22},
    ("nrknet", "loss.fourier_weight"): {"loss.schedule": "l2"},
}
"""Network, setting -> what its other values need beside them."""
REFUSED = {("dmenet", "loss.fourier_weight")}
"""Network, setting: it may have its default alone."""


def other_value(path, base):
    """A value that setting `path` may take in `base` and does not have there."""
    section, name = path.split(".")
    annotation = type(getattr(base, section)).model_fields[name].annotation
    names = get_args(annotation) if get_origin(annotation) is Literal else ()
    for value in (*names, *CANDIDATES):
        try:
            changed = base.with_values({path: value})
        except InputError:
            continue
        if changed != base and changed.flat()[path] == value:
            return value
    raise AssertionError(f"no candidate suits {path}; add one to CANDIDATES")


def test_defaults_are_the_papers():
    config = TrialConfig()
    assert config.model == ModelConfig.paper()
    assert (config.model.max_kernel_size, config.model.num_kernels, config.model.num_scales) == (21, 21, 3)
    assert (config.model.iterations_per_scale, config.model.gcm) == (1, "fixed")
    assert (config.data.crop_pixels, config.data.batch_size) == (256, 4)
    assert (config.training.epochs, config.optim.learning_rate, config.loss.schedule) == (3000, 1e-4, "paper")


def test_round_trip_through_a_file(tmp_path):
    path = tmp_path / "settings.json"
    config = TrialConfig().with_values({path: other_value(path, TrialConfig()) for path in SOME})
    path.write_text(config.to_json())
    assert TrialConfig.from_file(path) == config
    assert TrialConfig.from_file(path).fingerprint() == config.fingerprint()


def test_a_file_may_hold_some_settings_only(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text('{"model": {"width": 8}}')
    assert TrialConfig.from_file(path) == TrialConfig().with_values({"model.width": 8})


IDENTIFY_NOTHING = {"model.kind", "training.checkpoint_minutes"}
OF_A_NETWORK = [
    (kind, path)
    for kind in network_kinds()
    for path in setting_paths(kind)
    if path not in IDENTIFY_NOTHING and (kind, path) not in REFUSED
]


@pytest.mark.parametrize(("kind", "path"), OF_A_NETWORK)
def test_fingerprint_changes_with_every_setting(kind, path):
    base = TrialConfig().with_values({"model.kind": kind, **NEEDED.get((kind, path), {})})
    assert base.with_values({path: other_value(path, base)}).fingerprint() != base.fingerprint()


def test_how_often_checkpoints_are_written_is_a_setting_that_identifies_nothing():
    often = TrialConfig().with_assignments(["training.checkpoint_minutes=0.5"])
    assert often.training.checkpoint_minutes == 0.5
    assert often.fingerprint() == TrialConfig().fingerprint()
    assert often.flat() == TrialConfig().flat()
    assert TrialConfig.from_dict(json.loads(often.to_json())) == often
    with pytest.raises(InputError, match=r"did you mean training\.checkpoint_minutes"):
        TrialConfig().with_values({"training.checkpoint_minute": 1})


def test_fingerprint_changes_with_nothing_else():
    spelt_out = json.loads(TrialConfig().to_json())
    reordered = {section: dict(reversed(fields.items())) for section, fields in reversed(spelt_out.items())}
    assert TrialConfig.from_dict(reordered).fingerprint() == TrialConfig().fingerprint()
    as_text = TrialConfig().with_assignments(
        ["model.width=32", "optim.learning_rate=0.0001", "data.noise_sigma_8bit=0"]
    )
    assert as_text.fingerprint() == TrialConfig().fingerprint()


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="frozen"):
        TrialConfig().model.width = 8


def test_assignments_take_json_and_plain_text():
    config = TrialConfig().with_assignments(["model.gcm=learned_gaussian", "data.flips=true", "optim.clip_norm=null"])
    assert (config.model.gcm, config.data.flips, config.optim.clip_norm) == ("learned_gaussian", True, None)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model.max_kernel_size": 20}, ["model.max_kernel_size", "odd", "19 or 21"]),
        ({"model.num_kernels": 0}, ["model.num_kernels = 0", "greater than or equal to 1"]),
        ({"model.num_scales": 6, "data.crop_pixels": 64}, ["data.crop_pixels = 64", "at least 256", "fewer scales"]),
        ({"data.crop_schedule": [128, 64]}, ["data.crop_schedule = [128, 64]", "must grow", "data.crop_pixels = 256"]),
        ({"data.crop_schedule": [256]}, ["data.crop_schedule = [256]", "must grow", "give smaller sides"]),
        ({"data.crop_schedule": [8]}, ["data.crop_schedule.0 = 8", "greater than or equal to 16"]),
        ({"data.crop_schedule": [16], "model.num_scales": 4}, ["crop_schedule = [16] is too small", "at least 64"]),
        (
            {"data.crop_schedule": [64, 128], "training.epochs": 2},
            ["data.crop_schedule = [64, 128] needs at least 3 epochs", "training.epochs = 2"],
        ),
        ({"training.precision": "fp16"}, ["training.precision = 'fp16'", "'float32', 'tf32', 'bfloat16' or 'float16'"]),
        ({"model.bank": "official"}, ["model", "num_kernels = max_kernel_size + 1", "use bank = 'paper'"]),
        ({"model.num_scales": 7}, ["model.num_scales = 7", "less than or equal to 6"]),
        ({"model.widht": 8}, ["model.widht is no setting", "did you mean model.width?"]),
        ({"width": 8}, ["width is no setting", "did you mean model.width?"]),
        ({"modle.width": 8}, ["modle.width is no setting", "did you mean model.width?"]),
        ({"zzz": 1}, ["zzz is no setting", "the settings are model.kind, model.max_kernel_size"]),
        ({"model.gcm": "learnt"}, ["model.gcm = 'learnt'", "'fixed', 'learned_gaussian' or 'learned_random'"]),
        ({"optim.learning_rate": 0}, ["optim.learning_rate = 0", "greater than 0"]),
        ({"optim.learning_rate": float("nan")}, ["optim.learning_rate = nan", "finite"]),
        ({"data.noise_sigma_8bit": -1}, ["data.noise_sigma_8bit = -1"]),
        ({"training.epochs": "many"}, ["training.epochs = 'many'", "valid integer"]),
        ({"training.seed": -1}, ["training.seed = -1"]),
        ({"model.kind": "gkmnte"}, ["model.kind = 'gkmnte'", "no such network", "the networks are gkmnet"]),
        ({"model.kind": None}, ["model.kind = None", "no such network"]),
    ],
)
def test_refusals_name_the_key_the_reason_and_a_remedy(values, words):
    with pytest.raises(InputError) as refusal:
        TrialConfig().with_values(values, source="settings.json")
    sentence = str(refusal.value)
    assert sentence.startswith("settings.json: ")
    assert "\n" not in sentence
    assert [word for word in words if word not in sentence] == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, ["cannot be read", "give a JSON file"]),
        ("{", ["not valid JSON", "--config"]),
        ("[1]", ["must hold a JSON object", "list"]),
        ('{"model": 3}', ["model"]),
        ('{"modle": {}}', ["modle is no setting"]),
        ('{"model": {"max_kernel_size": 4}}', ["model.max_kernel_size", "3 or 5"]),
    ],
)
def test_bad_files_are_refused_by_name(content, words, tmp_path):
    path = tmp_path / "my settings.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError) as refusal:
        TrialConfig.from_file(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert [word for word in words if word not in str(refusal.value)] == []


@pytest.mark.parametrize(("text", "words"), [("model.width", "key=value"), ("model.width=x", "model.width = 'x'")])
def test_bad_assignments_are_refused(text, words):
    with pytest.raises(InputError, match=words):
        TrialConfig().with_assignments([text])


def test_every_scale_that_fits_the_crop_is_allowed():
    smallest = TrialConfig().with_values({"model.num_scales": 6, "data.crop_pixels": 256})
    assert smallest.model.num_scales == 6


def test_crops_of_a_schedule_have_equal_parts_of_the_epochs():
    config = TrialConfig().with_assignments(["data.crop_schedule=[64,128]", "training.epochs=7"])
    assert [config.data.crop_pixels_at(epoch, 7) for epoch in range(7)] == [64, 64, 64, 128, 128, 256, 256]
    assert TrialConfig.from_dict(json.loads(config.to_json())) == config
    assert {TrialConfig().data.crop_pixels_at(epoch, 7) for epoch in range(7)} == {256}


def test_what_needs_a_gpu_is_known_by_name():
    for precision in ("tf32", "float16"):
        problem = TrialConfig().with_values({"training.precision": precision}).processor_problem()
        assert problem == f"training.precision = {precision} needs a GPU; set float32 or bfloat16, or train on GPUs"
    for precision in ("float32", "bfloat16"):
        assert TrialConfig().with_values({"training.precision": precision}).processor_problem() is None


def test_the_fingerprint_of_the_papers_settings_never_changes():
    """Checkpoints, studies and runs are recognised by it."""
    assert TrialConfig().fingerprint() == "b4bb3bbdd837"


def test_a_newer_setting_changes_fingerprints_only_where_it_is_used():
    """Nothing has to be marked: what the first version did not have is left out while it has its default."""

    class NewerModel(ModelConfig):
        dropout: float = 0.0

    class Newer(Settings):
        blur: str = "none"

    class NewerTrial(TrialConfig):
        model: NewerModel = NewerModel()
        augmentation: Newer = Newer()

    assert NewerTrial().fingerprint() == TrialConfig().fingerprint()
    narrow = {"model.width": 8}
    assert (
        NewerTrial.model_validate({"model": {"width": 8}}).fingerprint()
        == TrialConfig().with_values(narrow).fingerprint()
    )
    used = [{"model": {"dropout": 0.1}}, {"augmentation": {"blur": "disc"}}, {"model": {"dropout": 0.2}}]
    prints = {NewerTrial.model_validate(values).fingerprint() for values in used}
    assert len(prints | {TrialConfig().fingerprint()}) == 4


def test_other_networks_have_other_fingerprints_even_with_the_same_settings(monkeypatch):
    class One(NetworkConfig):
        kind: Literal["one"] = "one"
        width: int = 32

    class Two(NetworkConfig):
        kind: Literal["two"] = "two"
        width: int = 32

    monkeypatch.setattr("gkm.config.networks._KINDS", {"gkmnet": ModelConfig})
    assert [register_settings(One), register_settings(Two), register_settings(One)] == ["one", "two", "one"]
    configs = [TrialConfig(), TrialConfig(model=One()), TrialConfig(model=Two()), TrialConfig(model=One(width=8))]
    assert len({config.fingerprint() for config in configs}) == 4
    assert TrialConfig.from_dict(json.loads(configs[3].to_json())) == configs[3]

    class Usurper(NetworkConfig):
        kind: Literal["one"] = "one"

    class Demanding(NetworkConfig):
        kind: Literal["three"] = "three"
        width: int

    for settings, reason in ((Usurper, "'one' is that of One"), (Demanding, "width has no default")):
        with pytest.raises(ValueError, match=reason):
            register_settings(settings)


@pytest.mark.parametrize(
    ("batch", "pieces", "workers", "sentence"),
    [
        (4, 2, 2, None),
        (6, 1, 4, "data.batch_size = 6 cannot be divided among 4 workers; use a multiple of 4"),
        (
            4,
            2,
            4,
            "data.batch_size = 4 cannot be divided among 4 workers and into training.accumulate = 2 pieces; "
            "use a multiple of 8",
        ),
    ],
)
def test_a_batch_that_cannot_be_divided_is_explained(batch, pieces, workers, sentence):
    config = TrialConfig().with_values({"data.batch_size": batch, "training.accumulate": pieces})
    assert config.division_problem(workers) == sentence


def test_a_batch_that_cannot_be_taken_in_pieces_is_refused():
    with pytest.raises(
        InputError, match=r"^--set: data\.batch_size = 4 cannot be divided into training\.accumulate = 3"
    ):
        TrialConfig().with_assignments(["training.accumulate=3"])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"model.kind": "dmenet"}, "learns maps of the blur by l2 alone"),
        ({"model.kind": "nrknet"}, "has a Fourier term of its own"),
    ],
)
def test_a_fourier_term_that_would_not_be_heard_is_refused(settings, reason):
    with pytest.raises(InputError, match=rf"loss\.fourier_weight = 0\.1: .*{reason}"):
        TrialConfig().with_values(settings | {"loss.fourier_weight": 0.1})
    heard = {"model.kind": "nrknet", "loss.schedule": "l2", "loss.fourier_weight": 0.1}
    assert TrialConfig().with_values(heard).loss.fourier_weight == 0.1


def test_no_fourier_term_identifies_nothing():
    plain, weighted = TrialConfig(), TrialConfig().with_values({"loss.fourier_weight": 0.1})
    assert plain.fingerprint() != weighted.fingerprint()
    assert weighted.with_values({"loss.fourier_weight": 0.0}).fingerprint() == plain.fingerprint()
