//! Times: UTC microseconds in Rust, `timestamptz` in the tables.

use sqlx::{
    Decode, Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{
        PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef, types::Oid,
    },
};

/// What PostgreSQL counts from, 2000-01-01, as UTC microseconds since 1970.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;
/// The earliest time that a `timestamptz` holds (4714 BC), in microseconds since 2000.
const EARLIEST: i64 = -211_813_488_000_000_000;

/// UTC microseconds. A `timestamptz` is the same number counted from another year, so nothing is lost; only
/// what lies before 4714 BC is stored as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Micros(pub i64);

impl Micros {
    fn to_postgres(self) -> i64 {
        self.0.saturating_sub(POSTGRES_EPOCH).max(EARLIEST)
    }

    fn from_postgres(since_2000: i64) -> Self {
        Self(since_2000.saturating_add(POSTGRES_EPOCH))
    }
}

impl Type<Postgres> for Micros {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1184))
    }
}

impl PgHasArrayType for Micros {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1185))
    }
}

impl Encode<'_, Postgres> for Micros {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Encode::<Postgres>::encode(self.to_postgres(), buffer)
    }
}

impl<'r> Decode<'r, Postgres> for Micros {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        match value.format() {
            PgValueFormat::Binary => Ok(Self::from_postgres(Decode::<Postgres>::decode(value)?)),
            PgValueFormat::Text => Err("a time came as text; statements ask for binary".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_after_4714_bc_comes_back() {
        for micros in [
            0,
            1,
            -1,
            1_700_000_000_000_123,
            i64::MAX,
            EARLIEST + POSTGRES_EPOCH,
        ] {
            let there = Micros(micros).to_postgres();
            assert_eq!(Micros::from_postgres(there), Micros(micros));
        }
        assert_eq!(Micros(i64::MIN).to_postgres(), EARLIEST);
        assert_eq!(Micros(POSTGRES_EPOCH).to_postgres(), 0);
    }
}
