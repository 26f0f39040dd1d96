//! How trainings go.

use crate::{
    PostgresStore,
    codec::{At, columns, of_hash},
    commit,
    fault::{Fault, again, db},
    time::Micros,
};
use async_trait::async_trait;
use domain::hash::Hash;
use sqlx::query;
use store::{Result, Trainings};
use wire::Loss;

#[async_trait]
impl Trainings for PostgresStore {
    async fn note_losses(&self, training: Hash, losses: &[Loss], now: i64) -> Result<()> {
        // In one order, so that two writers never wait for each other in a circle; each step once.
        let mut losses = losses.to_vec();
        losses.sort_by_key(|loss| loss.step);
        losses.dedup_by_key(|loss| loss.step);
        again(|| self.note_losses_once(training, &losses, now)).await
    }

    async fn losses(&self, training: Hash) -> Result<Vec<Loss>> {
        let rows = query!(
            "SELECT step, loss, validation_loss FROM training_losses WHERE key = $1 ORDER BY step",
            of_hash(training)
        );
        let rows = db(rows.fetch_all(&self.pool)).await?;
        let key = training.to_string();
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

impl PostgresStore {
    async fn note_losses_once(
        &self,
        training: Hash,
        losses: &[Loss],
        now: i64,
    ) -> Result<(), Fault> {
        columns!(losses =>
            steps: |l| i64::from(l.step),
            values: |l| l.loss,
            validations: |l| l.validation,
        );
        let mut tx = self.write().await?;
        let note = query!(
            "INSERT INTO training_losses AS t (key, step, loss, validation_loss, noted_at)
             SELECT $1, l.step, l.loss, l.validation_loss, $5
               FROM unnest($2::bigint[], $3::double precision[], $4::double precision[])
                    l (step, loss, validation_loss)
             ON CONFLICT (key, step) DO UPDATE
                SET loss = coalesce(t.loss, excluded.loss),
                    validation_loss = coalesce(t.validation_loss, excluded.validation_loss)",
            of_hash(training),
            &steps,
            &values as &[Option<f64>],
            &validations as &[Option<f64>],
            Micros(now) as Micros
        );
        db(note.execute(&mut *tx)).await?;
        commit(tx).await
    }
}
