//! How trainings go.

use crate::{
    SqliteStore,
    codec::{At, db},
};
use async_trait::async_trait;
use domain::hash::Hash;
use sqlx::query;
use store::{Result, Trainings};
use wire::Loss;

#[async_trait]
impl Trainings for SqliteStore {
    /// One statement for each step: there are few, and text would not keep every bit of a number.
    async fn note_losses(&self, training: Hash, losses: &[Loss], now: i64) -> Result<()> {
        let key = training.to_string();
        let mut tx = self.write().await?;
        for row in losses {
            query!(
                "INSERT INTO training_losses (key, step, loss, validation_loss, noted_at)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (key, step) DO UPDATE
                    SET loss = coalesce(loss, excluded.loss),
                        validation_loss = coalesce(validation_loss, excluded.validation_loss)",
                key,
                row.step,
                row.loss,
                row.validation,
                now
            )
            .execute(&mut *tx)
            .await
            .map_err(db)?;
        }
        tx.commit().await.map_err(db)
    }

    async fn losses(&self, training: Hash) -> Result<Vec<Loss>> {
        let key = training.to_string();
        let rows = query!(
            "SELECT step, loss, validation_loss FROM training_losses WHERE key = ?1 ORDER BY step",
            key
        )
        .fetch_all(&self.reader)
        .await
        .map_err(db)?;
        let at = At("training_losses", &key);
        rows.into_iter()
            .map(|row| {
                Ok(Loss {
                    step: at.number(row.step)?,
                    loss: row.loss,
                    validation: row.validation_loss,
                })
            })
            .collect()
    }
}
