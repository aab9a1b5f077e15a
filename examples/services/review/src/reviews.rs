//! The reviews in the database. What belongs together is written together: the review, its stars, and the event.

use chassis::events::{Event, Outbox};
use chassis::{Caller, Database, Failure, Page, Write, now_ms, rfc3339};
use serde::Serialize;
use sqlx::Row;
use sqlx::any::AnyRow;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::summary::Summary;
use crate::words::NewReview;

/// What a shopper said.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Review {
    pub(crate) id: String,
    product_id: String,
    user_id: String,
    rating: i64,
    title: String,
    text: String,
    created_at: String,
}

/// Where they are kept.
#[derive(Clone)]
pub(crate) struct Reviews {
    pub(crate) database: Database,
    pub(crate) outbox: Outbox,
}

impl Reviews {
    /// Keeps what the caller says, and tells others. 409 if they said something of this product before.
    #[tracing::instrument(skip_all, fields(product.id = new.product_id, review.rating = new.rating))]
    pub(crate) async fn post(&self, caller: &Caller, new: NewReview) -> Result<Review, Failure> {
        let mut write = self.database.write().await?;
        let insert = "INSERT INTO review (id, product_id, user_id, rating, title, text, created_at) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (product_id, user_id) DO NOTHING \
                      RETURNING *";
        let row = sqlx::query(insert)
            .bind(Uuid::now_v7().to_string())
            .bind(&new.product_id)
            .bind(&caller.id)
            .bind(new.rating)
            .bind(&new.title)
            .bind(&new.text)
            .bind(now_ms())
            .fetch_optional(&mut *write)
            .await?;
        let Some(row) = row else {
            return Err(Failure::conflict("already_reviewed", "you have reviewed this product before"));
        };
        let review = Review::read(&row)?;
        add_stars(&mut write, &review, 1).await?;
        self.outbox.put(&mut write, Event::now("review.posted", &review.id, &review)).await?;
        write.commit().await?;
        Ok(review)
    }

    /// Takes one back: the one who wrote it may, and staff.
    #[tracing::instrument(skip_all, fields(review.id = %id))]
    pub(crate) async fn remove(&self, caller: &Caller, id: Uuid) -> Result<(), Failure> {
        let mut write = self.database.write().await?;
        // It is deleted before it is asked whose it is: an error undoes it, and of two who delete one finds nothing.
        let row = sqlx::query("DELETE FROM review WHERE id = $1 RETURNING *")
            .bind(id.to_string())
            .fetch_optional(&mut *write)
            .await?;
        let review = Review::read(&row.ok_or_else(|| Failure::not_found("review"))?)?;
        if review.user_id != caller.id && !caller.is("staff") {
            return Err(Failure::forbidden("this review is somebody else's"));
        }
        add_stars(&mut write, &review, -1).await?;
        write.commit().await?;
        Ok(())
    }

    /// The reviews of a product, newest first.
    pub(crate) async fn of_product(&self, product_id: &str, page: Page) -> Result<Vec<Review>, Failure> {
        let rows =
            sqlx::query("SELECT * FROM review WHERE product_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3")
                .bind(product_id)
                .bind(page.size())
                .bind(page.offset())
                .fetch_all(self.database.pool())
                .await?;
        Ok(rows.iter().map(Review::read).collect::<Result<_, _>>()?)
    }

    /// The reviews of a product in figures.
    pub(crate) async fn summary(&self, product_id: &str) -> Result<Summary, Failure> {
        let stars: Vec<(i64, i64)> =
            sqlx::query_as("SELECT rating, reviews FROM stars WHERE product_id = $1 ORDER BY rating")
                .bind(product_id)
                .fetch_all(self.database.pool())
                .await?;
        Ok(Summary::of(product_id, &stars))
    }
}

async fn add_stars(write: &mut Write, review: &Review, reviews: i64) -> Result<(), sqlx::Error> {
    let add = "INSERT INTO stars (product_id, rating, reviews) VALUES ($1, $2, $3) \
               ON CONFLICT (product_id, rating) DO UPDATE SET reviews = stars.reviews + excluded.reviews";
    sqlx::query(add)
        .bind(&review.product_id)
        .bind(review.rating)
        .bind(reviews)
        .execute(&mut **write)
        .await
        .map(|_| ())
}

impl Review {
    fn read(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            product_id: row.try_get("product_id")?,
            user_id: row.try_get("user_id")?,
            rating: row.try_get("rating")?,
            title: row.try_get("title")?,
            text: row.try_get("text")?,
            created_at: rfc3339(row.try_get("created_at")?),
        })
    }
}
