from __future__ import annotations

import pytest

from wine_sweep.evaluation.capture import Tail


@pytest.fixture
def file(tmp_path):
    return tmp_path / "stdout.txt"


def test_whole_lines_are_given_once_each(file):
    tail = Tail(file)
    assert tail.read() == ""
    with file.open("a") as writing:
        for text, new in (("one\ntw", "one\n"), ("", ""), ("o\nthree\n", "two\nthree\n"), ("fo", "")):
            writing.write(text)
            writing.flush()
            assert tail.read() == new
    assert tail.read(to_the_end=True) == "fo"
    assert tail.read(to_the_end=True) == ""
    tail.close()


def test_a_file_that_is_made_anew_is_read_from_its_beginning_and_what_was_left_of_the_old_is_not_lost(file):
    tail = Tail(file)
    file.write_text("attempt one\nit br")
    assert tail.read() == "attempt one\n"
    with file.open("a") as writing:
        writing.write("oke")
    file.unlink()
    assert tail.read() == ""
    file.write_text("attempt two, which is longer than the first\n")
    assert tail.read() == "it broke\nattempt two, which is longer than the first\n"
    file.unlink()
    assert tail.read(to_the_end=True) == ""
    tail.close()


def test_bytes_that_are_no_text_are_shown_as_such(file):
    file.write_bytes(b"\xff\xfe\n")
    assert Tail(file).read() == "\ufffd\ufffd\n"
