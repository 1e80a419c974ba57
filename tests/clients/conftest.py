"""What the client tests share: where the daemon is and which process, the SDK pointed at it, and the name of the model it serves."""

import openai
import pytest

SECONDS_A_REQUEST = 300


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--base-url", required=True, help="a running daemon, such as http://127.0.0.1:8000/v1")
    parser.addoption("--daemon", required=True, type=int, help="its process id")


@pytest.fixture(scope="session")
def base_url(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--base-url")


@pytest.fixture(scope="session")
def daemon(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("--daemon")


@pytest.fixture(scope="session")
def client(base_url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=SECONDS_A_REQUEST)


@pytest.fixture(scope="session")
def model(client: openai.OpenAI) -> str:
    return client.models.list().data[0].id
