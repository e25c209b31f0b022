"""The right to train a trial whose place is a folder."""

import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("claim_contract", Path(__file__).with_name("claim_contract.py"))
assert _SPEC
assert _SPEC.loader
contract = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(contract)


class TestLocalClaim(contract.ClaimContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> str:
        return str(tmp_path / "trials" / "trial-x")
