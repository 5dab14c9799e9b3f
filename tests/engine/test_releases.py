"""From a registered version to the image that serves it, on a real registry."""

import msgspec
import pytest
import pytest_asyncio

from mlconsole.config import ServiceSettings
from mlconsole.configoperations import Deploy
from mlconsole.domain.plans import PlanError
from mlconsole.engine import releases
from mlconsole.engine.offload import Offload

pytestmark = pytest.mark.asyncio(loop_scope="module")
SHA = "3f2c1a9" + "0" * 33


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """`fraud` v1 with a run and a tag, v2 without either, @champion is v1."""
    from mlconsole.registry.reader import _mlflow

    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder}/mlflow.db"
    client = _mlflow().MlflowClient(uri, uri)
    experiment = client.create_experiment("fraud", artifact_location=str(folder))
    run = client.create_run(experiment, tags={"mlflow.source.git.commit": SHA}).info.run_id
    client.create_registered_model("fraud")
    client.create_model_version("fraud", str(folder), run_id=run, tags={"image": "registry.local/fraud:one"})
    client.create_model_version("fraud", str(folder))
    client.set_registered_model_alias("fraud", "champion", "1")
    return uri, run


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def offload():
    """Workers, which import MLflow once for all."""
    found = Offload()
    yield found
    await found.close()


def settings(**deploy):
    return ServiceSettings(deploy=Deploy(resolve=False, **deploy))


@pytest.mark.parametrize("wanted", ["1", "v1", "@champion"])
async def test_a_tag_of_the_version_names_its_image(registry, offload, wanted):
    tags = settings(image_tags=("docker_image", "image"), image="x:never")
    found = await releases.release_of(offload, tags, registry[0], "fraud", wanted)
    release = found.release
    assert (release.model, release.version, release.run_id, release.git_sha) == ("fraud", "1", registry[1], SHA)
    assert (release.image, found.image_by) == ("registry.local/fraud:one", "tag image")
    assert "deploy.resolve is off" in found.digest


async def test_a_pattern_names_it_where_no_tag_does_and_a_person_before_both(registry, offload):
    pattern = settings(image="registry.local/{model}:v{version}")
    found = await releases.release_of(offload, pattern, registry[0], "fraud", "2")
    assert (found.release.image, found.image_by) == ("registry.local/fraud:v2", "deploy.image")
    named = await releases.release_of(offload, pattern, registry[0], "fraud", "1", "registry.local/x:9")
    assert (named.release.image, named.image_by, named.release.run_id) == (
        "registry.local/x:9",
        "--image",
        registry[1],
    )
    unknown = settings(image="registry.local/{model}:{git_sha}")
    with pytest.raises(PlanError, match=r"asks for \{git_sha\}, and nobody knows it"):
        await releases.release_of(offload, unknown, registry[0], "fraud", "2")
    with pytest.raises(PlanError, match=r"asks for \{branch\}"):
        await releases.release_of(offload, settings(image="x:{branch}"), registry[0], "fraud", "2")
    with pytest.raises(PlanError, match="nothing says which image serves fraud v2") as refused:
        await releases.release_of(offload, settings(), registry[0], "fraud", "2")
    assert "--image" in refused.value.hint
    with pytest.raises(PlanError, match="no image's name"):
        await releases.release_of(offload, settings(), registry[0], "fraud", "2", "Bad Image")
    for wanted in ("7", "@nobody"):
        with pytest.raises(PlanError, match=f"the registry has no fraud {wanted}"):
            await releases.release_of(offload, settings(), registry[0], "fraud", wanted)


async def test_a_registry_that_is_away_stops_nobody_who_names_version_and_image(offload):
    found = await releases.release_of(offload, settings(), None, "fraud", "v14", "registry.local/fraud:14")
    assert (found.release.version, found.release.image) == ("14", "registry.local/fraud:14")
    assert "run and commit of v14 are not known" in found.warnings[0]
    with pytest.raises(PlanError, match="no registry is configured") as refused:
        await releases.release_of(offload, settings(), None, "fraud", "14")
    assert "--image" in refused.value.hint
    with pytest.raises(PlanError, match="no registry is configured"):
        await releases.release_of(offload, settings(), None, "fraud", "@champion", "registry.local/fraud:14")
    with pytest.raises(PlanError, match="no version to deploy"):
        await releases.release_of(offload, settings(), None, "fraud", "")
    bare = await releases.release_of(offload, settings(), None, "fraud", "", "registry.local/fraud:14")
    assert bare.release.version == ""
    assert "by its image alone" in bare.warnings[0]


async def test_a_version_that_is_not_ready_is_refused(registry):
    from mlconsole.registry import reader

    found = msgspec.structs.replace(reader.find(registry[0], "fraud", "1"), status="PENDING_REGISTRATION")
    with pytest.raises(PlanError, match="PENDING_REGISTRATION"):
        releases._ready(found)
