from tagboat.web.places import deploy_path, project_path, stage_path


def test_names_are_quoted() -> None:
    assert project_path("shop") == "/projects/shop"
    assert stage_path("a/b", "c d?") == "/projects/a%2Fb/c%20d%3F"
    assert deploy_path("18ec") == "/deploys/18ec"
