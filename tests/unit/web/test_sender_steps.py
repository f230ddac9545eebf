from tagboat.web.sender_steps import SENDER_GUIDES


def test_each_sender_has_its_steps_once() -> None:
    keys = [one.key for one in SENDER_GUIDES]
    assert len(set(keys)) == len(keys)
    for guide in SENDER_GUIDES:
        assert guide.steps, guide.key
        for text in (*guide.steps, guide.note):
            assert text.count("`") % 2 == 0, guide.key


def test_the_senders_without_a_host_say_so() -> None:
    assert {one.key for one in SENDER_GUIDES if one.hostless} == {"nexus", "zot"}
