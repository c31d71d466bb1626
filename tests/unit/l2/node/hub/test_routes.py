"""Every question of the desk has a row that says which worker answers it, and the row fits the question."""

from l2.desk import key_words, watch_words, words
from l2.node.api.endpoints import ENDPOINTS
from l2.node.hub.relay import Relay
from l2.node.hub.routes import ROUTES, Where


def test_every_endpoint_has_one_row_and_no_row_is_left_over() -> None:
    assert {endpoint.handler for endpoint in ENDPOINTS} == set(ROUTES)


def test_each_row_fits_its_endpoint() -> None:
    for endpoint in ENDPOINTS:
        where = ROUTES[endpoint.handler]
        fields = () if endpoint.ask is None else endpoint.ask.__struct_fields__
        queries = {query.name for query in endpoint.query}
        assert (where is Where.PATH) == ("{channel}" in endpoint.path), endpoint
        assert (where is Where.BODY) == ("channel" in fields), endpoint
        assert (where is Where.SHARE) == ("share" in fields), endpoint
        assert where is not Where.QUERY or "channel" in queries, endpoint
        if where in (Where.ALL, Where.QUERY):
            assert getattr(endpoint.answer, "__origin__", None) is list, endpoint


def test_the_front_can_answer_what_it_answers_itself() -> None:
    for name, where in ROUTES.items():
        if where is Where.HERE:
            assert callable(getattr(Relay, name.rpartition(".")[2]))


def test_what_the_front_joins_has_the_shapes_that_it_knows() -> None:
    answers = {endpoint.handler: endpoint.answer for endpoint in ENDPOINTS}
    assert answers["status"] is words.Status
    assert answers["retention"] is words.RetentionView
    assert answers["keys.affected"] is key_words.Affected
    assert answers["towers"] == list[watch_words.TowerView]
    assert answers["audit_log"] == list[words.Entry]
