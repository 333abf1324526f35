from console.up import places


def test_x():
    assert places.SOCKET_PATH_LIMIT == 104
