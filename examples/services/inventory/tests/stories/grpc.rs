//! The other door: gRPC on the same port, the same decisions.

use chassis::testing::Tried;
use futures_util::future::join_all;
use inventory::grpc::health::HealthCheckRequest;
use inventory::grpc::health::health_client::HealthClient;
use inventory::grpc::wire::inventory_client::InventoryClient;
use inventory::grpc::wire::reserve_response::Outcome;
use inventory::grpc::wire::{
    ConfirmRequest, GetStockRequest, Item, ReleaseRequest, ReserveRequest, Short, State,
};
use tonic::transport::Channel;
use tonic::{Code, Request};

use crate::{balances, fill, inventory, reserve, stock};

type Client = InventoryClient<Channel>;

async fn client(service: &Tried) -> Client {
    InventoryClient::connect(service.url()).await.unwrap()
}

fn wanted(id: &str, items: &[(&str, i64)]) -> ReserveRequest {
    let item =
        |(product, quantity): &(&str, i64)| Item { product_id: (*product).to_owned(), quantity: *quantity };
    let items = items.iter().map(item).collect();
    ReserveRequest { reservation_id: id.to_owned(), items, ttl_seconds: None }
}

async fn confirm(client: &mut Client, id: &str) -> Result<State, Code> {
    let request = ConfirmRequest { reservation_id: id.to_owned() };
    client.confirm(request).await.map(|answer| answer.into_inner().state()).map_err(|status| status.code())
}

async fn release(client: &mut Client, id: &str) -> Result<State, Code> {
    let request = ReleaseRequest { reservation_id: id.to_owned() };
    client.release(request).await.map(|answer| answer.into_inner().state()).map_err(|status| status.code())
}

#[tokio::test]
async fn a_reservation_lives_through_both_doors() {
    let service = inventory(&[]).await;
    let mut client = client(&service).await;
    fill(&service, "p-001", 5).await;
    let answer = client.reserve(wanted("r-1", &[("p-001", 2)])).await.unwrap().into_inner();
    let Some(Outcome::Reservation(made)) = answer.outcome else { panic!("{answer:?}") };
    assert_eq!((made.reservation_id.as_str(), made.state()), ("r-1", State::Held));
    assert_eq!(made.items, wanted("r-1", &[("p-001", 2)]).items);
    let other_door = reserve(&service, "r-1", &[("p-001", 2)]).await;
    assert_eq!(other_door.status, 200, "it is there: {}", other_door.body);
    let in_stock =
        client.get_stock(GetStockRequest { product_id: "p-001".to_owned() }).await.unwrap().into_inner();
    assert_eq!((in_stock.on_hand, in_stock.reserved, in_stock.available), (5, 2, 3));
    assert_eq!(confirm(&mut client, "r-1").await, Ok(State::Confirmed));
    assert_eq!(stock(&service, "p-001").await, (3, 0));
    assert_eq!(release(&mut client, "r-1").await, Err(Code::FailedPrecondition));
    assert_eq!(release(&mut client, "r-late").await, Ok(State::Released));
    assert_eq!(reserve(&service, "r-late", &[("p-001", 1)]).await.status, 409);
    balances(&service).await;
}

#[tokio::test]
async fn what_is_not_there_is_an_answer_and_what_cannot_be_is_an_error() {
    let service = inventory(&[]).await;
    let mut client = client(&service).await;
    fill(&service, "p-001", 1).await;
    let answer = client.reserve(wanted("r-1", &[("p-001", 2)])).await.unwrap().into_inner();
    let Some(Outcome::OutOfStock(told)) = answer.outcome else { panic!("{answer:?}") };
    assert_eq!(told.short, [Short { product_id: "p-001".to_owned(), wanted: 2, available: 1 }]);
    client.reserve(wanted("r-1", &[("p-001", 1)])).await.unwrap();
    let differs = client.reserve(wanted("r-1", &[("p-002", 1)])).await.unwrap_err();
    assert_eq!(differs.code(), Code::AlreadyExists);
    assert!(differs.message().starts_with("reservation_differs: "), "{differs}");
    let wrong = client.reserve(wanted("", &[])).await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    assert!(wrong.message().contains("; items are at least one; reservation_id has"), "{wrong}");
    assert_eq!(confirm(&mut client, "r-none").await, Err(Code::NotFound));
    let unknown = GetStockRequest { product_id: "p-none".to_owned() };
    assert_eq!(client.get_stock(unknown).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn shoppers_do_not_reserve_here_either() {
    let service = inventory(&[]).await;
    let mut client = client(&service).await;
    for (roles, may) in [("customer", false), ("customer staff", true)] {
        let mut request = Request::new(wanted("r-1", &[("p-001", 1)]));
        request.metadata_mut().insert("x-user-id", "u-1".parse().unwrap());
        request.metadata_mut().insert("x-user-roles", roles.parse().unwrap());
        let answer = client.reserve(request).await;
        assert_eq!(answer.err().map(|status| status.code()), (!may).then_some(Code::PermissionDenied));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crowds_at_both_doors_get_what_is_there_and_no_more() {
    let service = inventory(&[]).await;
    let client = client(&service).await;
    fill(&service, "p-hot", 40).await;
    let asked = (0..120).map(async |number: usize| {
        let id = format!("r-{number}");
        if number.is_multiple_of(2) {
            return reserve(&service, &id, &[("p-hot", 1)]).await.status == 201;
        }
        let answer = client.clone().reserve(wanted(&id, &[("p-hot", 1)])).await.unwrap().into_inner();
        matches!(answer.outcome, Some(Outcome::Reservation(_)))
    });
    assert_eq!(join_all(asked).await.into_iter().filter(|got| *got).count(), 40);
    assert_eq!(stock(&service, "p-hot").await, (40, 40));
    balances(&service).await;
}

#[tokio::test]
async fn a_load_balancer_can_ask_whether_it_serves() {
    let service = inventory(&[]).await;
    let mut client = HealthClient::connect(service.url()).await.unwrap();
    for (name, told) in [("", Ok(1)), ("shop.inventory.v1.Inventory", Ok(1)), ("other", Err(Code::NotFound))]
    {
        let answer = client.check(HealthCheckRequest { service: name.to_owned() }).await;
        assert_eq!(answer.map(|answer| answer.into_inner().status).map_err(|status| status.code()), told);
    }
}
