"""Memory of batches: used again, but never while anybody looks at it."""

import gc

from gkm.data.reading.batch_memory import BatchMemory


def test_memory_is_used_again_when_all_views_are_gone():
    memory = BatchMemory((2, 3), keep=2)
    first = memory.tensor().fill_(1)
    place = first.data_ptr()
    view, array = first[1], first.numpy()[0]
    del first
    assert memory.tensor().data_ptr() != place
    del view
    second = memory.tensor().fill_(2)
    assert second.data_ptr() != place
    assert array.tolist() == [1, 1, 1]
    del array
    gc.collect()
    places = {memory.tensor().data_ptr() for _ in range(3)}
    assert place in places or memory.tensor().data_ptr() == place


def test_no_more_is_kept_than_asked():
    memory = BatchMemory((1000, 1000), keep=2)
    many = [memory.tensor() for _ in range(6)]
    assert len({tensor.data_ptr() for tensor in many}) == 6
    del many
    assert len(memory._left) == 2
