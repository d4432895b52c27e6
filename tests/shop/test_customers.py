"""What a customer can do."""

from __future__ import annotations

from running_shop import RunningShop


def test_a_customer_browses_logs_in_fills_a_cart_pays_and_sees_the_order(calm_shop: RunningShop) -> None:
    products = calm_shop.ask("GET", "/").data["products"]
    proof = calm_shop.log_in("grace")
    cart = calm_shop.ask("POST", "/cart", {"product": products[0]["id"], "count": 3}, **proof)
    assert cart.data["lines"] == {products[0]["id"]: 3}
    order = calm_shop.ask("POST", "/checkout", **proof)
    assert order.data["cents"] == 3 * products[0]["cents"]
    assert calm_shop.ask("GET", f"/orders/{order.data['id']}", **proof).data == order.data


def test_a_browser_is_shown_a_page(calm_shop: RunningShop) -> None:
    answer = calm_shop.ask("GET", "/", accept="text/html,application/xhtml+xml")
    assert answer.headers["content-type"].startswith("text/html")
    assert b"blue kettle" in answer.body


def test_who_presses_twice_pays_once(calm_shop: RunningShop) -> None:
    proof = calm_shop.log_in("mary")
    calm_shop.ask("POST", "/cart", {"product": "1", "count": 1}, **proof)
    first, second = (calm_shop.ask("POST", "/checkout", idempotency_key="press", **proof) for _ in range(2))
    assert (first.status, second.data) == (200, first.data)


def test_an_empty_cart_cannot_be_paid(calm_shop: RunningShop) -> None:
    assert calm_shop.ask("POST", "/checkout", **calm_shop.log_in("joan")).status == 409


def test_nobody_sees_the_order_of_another(calm_shop: RunningShop) -> None:
    proof = calm_shop.log_in("alan")
    calm_shop.ask("POST", "/cart", {"product": "2", "count": 1}, **proof)
    order = calm_shop.ask("POST", "/checkout", **proof).data["id"]
    assert calm_shop.ask("GET", f"/orders/{order}", **calm_shop.log_in("eve")).status == 404


def test_a_wrong_password_opens_nothing(calm_shop: RunningShop) -> None:
    assert calm_shop.ask("POST", "/login", {"user": "ada", "password": "guess"}).status == 401


def test_a_changed_session_is_refused(calm_shop: RunningShop) -> None:
    proof = calm_shop.log_in("ada")["authorization"].replace("ada", "eve")
    assert calm_shop.ask("POST", "/checkout", authorization=proof).status == 401


def test_without_a_session_there_is_no_cart(calm_shop: RunningShop) -> None:
    assert calm_shop.ask("POST", "/cart", {"product": "1", "count": 1}).status == 401


def test_a_body_that_makes_no_sense_is_refused_with_the_reason(calm_shop: RunningShop) -> None:
    proof = calm_shop.log_in()
    for body in ([], {"product": "1"}, {"product": "1", "count": -1}, {"product": "1", "count": True}):
        answer = calm_shop.ask("POST", "/cart", body, **proof)
        assert (answer.status, answer.data["error"]) == (400, "bad_request")


def test_an_unknown_page_is_not_found(calm_shop: RunningShop) -> None:
    assert calm_shop.ask("GET", "/secret").status == 404


def test_an_order_outlives_the_process_that_took_it(shop: RunningShop) -> None:
    proof = shop.log_in()
    shop.ask("POST", "/cart", {"product": "1", "count": 1}, **proof)
    order = shop.ask("POST", "/checkout", **proof).data
    shop.kill("orders")
    shop.kill("cache")
    shop.run("restart", "orders")
    assert shop.ask("GET", f"/orders/{order['id']}", **proof).data == order


def test_a_request_keeps_its_id_on_its_way_through_the_shop(calm_shop: RunningShop) -> None:
    answer = calm_shop.ask("GET", "/products/3", x_request_id="trace-me-3")
    assert answer.headers["x-request-id"] == "trace-me-3"
    for service in ("web", "api", "cache"):
        assert "trace-me-3" in [line["request_id"] for line in calm_shop.log(service)]
