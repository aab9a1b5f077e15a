//! The door for gRPC, on the same port. It decides nothing: see `inventory.rs`.

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use chassis::{Caller, Database, Failure};
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};

use crate::inventory::Inventory;
use crate::ledger::Reserved;
use crate::refusal::Refusal;
use crate::reservation::{self, Wish};
use crate::rest;

use health::health_check_response::ServingStatus;
use health::health_server::{Health, HealthServer};
use health::{HealthCheckRequest, HealthCheckResponse};
use wire::inventory_server::{Inventory as Service, InventoryServer, SERVICE_NAME};
use wire::reserve_response::Outcome;
use wire::{
    ConfirmRequest, GetStockRequest, Item, OutOfStock, ReleaseRequest, Reservation, ReserveRequest,
    ReserveResponse, Short, State, Stock,
};

/// What goes over the wire: made of `proto/shop/inventory/v1/inventory.proto`.
#[allow(missing_docs, clippy::all, reason = "nobody wrote it")]
pub mod wire {
    tonic::include_proto!("shop.inventory.v1");
}

/// What load balancers ask: made of `proto/grpc/health/v1/health.proto`.
#[allow(missing_docs, clippy::all, reason = "nobody wrote it")]
pub mod health {
    tonic::include_proto!("grpc.health.v1");
}

/// A request larger than this is none of ours: fifty items fit many times.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

pub(crate) fn routes(inventory: Inventory) -> Router {
    let health = HealthServer::new(Heart(inventory.ledger.database.clone()));
    let service = InventoryServer::new(Door(inventory)).max_decoding_message_size(REQUEST_BYTES_MAX);
    Routes::new(service).add_service(health).into_axum_router()
}

struct Door(Inventory);

#[tonic::async_trait]
impl Service for Door {
    async fn get_stock(&self, request: Request<GetStockRequest>) -> Result<Response<Stock>, Status> {
        let stock = self.0.stock(&request.into_inner().product_id).await?;
        let crate::ledger::Stock { product_id, on_hand, reserved, available } = stock;
        Ok(Response::new(Stock { product_id, on_hand, reserved, available }))
    }

    async fn reserve(&self, request: Request<ReserveRequest>) -> Result<Response<ReserveResponse>, Status> {
        is_service(&request).await?;
        let asked = request.into_inner();
        let lines = asked.items.into_iter().map(|item| (item.product_id, item.quantity));
        let wish = Wish::checked(asked.reservation_id, lines, asked.ttl_seconds)?;
        let outcome = match self.0.reserve(&wish).await {
            Ok(Reserved::Before(reservation) | Reserved::Now(reservation)) => {
                Outcome::Reservation(reservation.into())
            }
            Err(Refusal::OutOfStock(short)) => {
                Outcome::OutOfStock(OutOfStock { short: short.into_iter().map(Short::from).collect() })
            }
            Err(refusal) => return Err(refusal.into()),
        };
        Ok(Response::new(ReserveResponse { outcome: Some(outcome) }))
    }

    async fn confirm(&self, request: Request<ConfirmRequest>) -> Result<Response<Reservation>, Status> {
        is_service(&request).await?;
        Ok(Response::new(self.0.confirm(&request.into_inner().reservation_id).await?.into()))
    }

    async fn release(&self, request: Request<ReleaseRequest>) -> Result<Response<Reservation>, Status> {
        is_service(&request).await?;
        Ok(Response::new(self.0.release(&request.into_inner().reservation_id).await?.into()))
    }
}

/// As at the other door: shoppers order, they do not reserve.
async fn is_service<T>(request: &Request<T>) -> Result<(), Status> {
    let mut parts = axum::http::Request::new(()).into_parts().0;
    parts.headers = request.metadata().clone().into_headers();
    let caller =
        Option::<Caller>::from_request_parts(&mut parts, &()).await.map_err(|failure| status(&failure))?;
    rest::is_service(caller).map_err(|failure| status(&failure))
}

impl From<reservation::Reservation> for Reservation {
    fn from(reservation: reservation::Reservation) -> Self {
        let state = match reservation.state {
            reservation::State::Confirmed => State::Confirmed,
            reservation::State::Expired => State::Expired,
            reservation::State::Held => State::Held,
            reservation::State::Released => State::Released,
        };
        let item = |(product, quantity): (&str, i64)| Item { product_id: product.to_owned(), quantity };
        let items = reservation.items.iter().map(item).collect();
        let expires_at_ms = reservation.expires_at;
        Self { reservation_id: reservation.id, state: state.into(), items, expires_at_ms }
    }
}

impl From<crate::refusal::Short> for Short {
    fn from(short: crate::refusal::Short) -> Self {
        Self { product_id: short.product_id, wanted: short.wanted, available: short.available }
    }
}

/// The word that programs compare comes first in the sentence: gRPC has a dozen codes for everything there is.
impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::Confirmed | Refusal::Expired | Refusal::Promised | Refusal::Released => {
                Code::FailedPrecondition
            }
            Refusal::Database(_) => return status(&refusal.into()),
            Refusal::Differs => Code::AlreadyExists,
            Refusal::Invalid(_) => Code::InvalidArgument,
            Refusal::OutOfStock(_) => Code::ResourceExhausted,
            Refusal::UnknownProduct | Refusal::UnknownReservation => Code::NotFound,
        };
        let mut sentence = format!("{}: {refusal}", refusal.word());
        if let Refusal::Invalid(wrong) = &refusal {
            for (field, rule) in wrong {
                sentence += &format!("; {field} {rule}");
            }
        }
        Self::new(code, sentence)
    }
}

/// What the other door says, where it says it for both.
fn status(failure: &Failure) -> Status {
    let code = match failure.status() {
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        _ => Code::Internal,
    };
    Status::new(code, format!("{}: {}", failure.body().error, failure.body().message))
}

/// Serving means: the database answers.
struct Heart(Database);

#[tonic::async_trait]
impl Health for Heart {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        if !service.is_empty() && service != SERVICE_NAME {
            return Err(Status::not_found("there is no such service"));
        }
        let status = match self.0.answers().await {
            Ok(()) => ServingStatus::Serving,
            Err(_) => ServingStatus::NotServing,
        };
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }
}
