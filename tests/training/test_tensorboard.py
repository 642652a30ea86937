"""Logs for TensorBoard are a side job."""

import logging

from reid_lab.training import tensorboard


def test_logs_for_tensorboard_that_fail_cost_no_training(tmp_path, monkeypatch, caplog):
    def refusing(folder, purge_step):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensorboard, "tensorboard_writer", lambda: refusing)
    with caplog.at_level(logging.WARNING, "reid_lab"):
        tensorboard.write_tensorboard(tmp_path, {"epoch": 3, "loss": 1.0})
    assert "Epoch 3 is missing" in caplog.text and "No space left on device" in caplog.text
