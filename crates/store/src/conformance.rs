//! The suite every adapter passes.
//!
//! An adapter's tests say how to open a store by name (the same name opens the same data again, a new name
//! an empty store) and get one test for each promise of the traits, and a randomised one:
//!
//! ```ignore
//! async fn open(name: &str) -> MyStore { … }
//! store::conformance_suite!(open);
//! ```
//!
//! A store that is not there everywhere names a function that says whether a test is skipped:
//! `conformance_suite!(open, unless skipped)`. [`Twin`] makes one store of two, and fails where they differ.
//!
//! [`coordinators_share`] and [`coordinators_share_a_quota`] are called with as many handles of a store as it has
//! coordinators.
//!
//! [`history`] checks the questions of `docs/sql.md`, whose answers are recomputed from the raw rows.
//!
//! The randomised test ([`model`]) runs random operations, with reports that come twice, late or never and
//! crashes in between, against a small model in memory.

mod coordinators;
mod demo;
mod examples;
pub mod history;
mod ledger;
mod load;
pub mod model;
mod plans;
mod quotas;
mod reports;
mod results;
mod retention;
mod runs;
mod scores;
mod shared;
mod tasks;
mod trainings;
mod twin;
mod world;

pub use coordinators::*;
pub use demo::demo;
pub use examples::*;
pub use ledger::*;
pub use load::{Throughput, throughput};
pub use plans::*;
pub use quotas::*;
pub use reports::*;
pub use results::*;
pub use retention::*;
pub use runs::*;
pub use scores::*;
pub use shared::*;
pub use tasks::*;
pub use trainings::*;
pub use twin::Twin;

/// Of a store that is there everywhere no test is skipped.
pub fn never() -> bool {
    false
}

/// One test for each promise: `$open` is an `async fn(&str) -> impl Store`, `$skipped` a `fn() -> bool`. Needs tokio and proptest among
/// the adapter's dev-dependencies.
#[macro_export]
macro_rules! conformance_suite {
    ($open:path) => {
        $crate::conformance_suite!($open, unless $crate::conformance::never);
    };
    ($open:path, unless $skipped:path) => {
        $crate::conformance_suite! {
            $open, $skipped:
            a_run_is_stored_once
            runs_come_in_pages
            a_status_changes_only_from_the_one_named
            the_newest_limits_hold
            an_example_twice_in_one_dataset_counts_once
            members_come_in_pages_and_parts
            examples_come_back_as_they_were
            a_step_is_planned_once
            nothing_of_a_step_is_visible_before_its_commit
            one_of_two_callers_plans_a_step
            candidates_come_back_in_order
            an_item_without_task_needs_a_twin_or_an_answer
            an_item_names_what_is_stored
            a_claim_reserves_once
            a_claim_stops_at_the_budget
            tasks_are_claimed_oldest_first
            stored_answers_are_not_asked_again
            a_stored_answer_is_graded_not_asked
            a_lost_task_is_given_back
            a_dead_task_is_revived
            a_report_is_applied_once
            a_report_may_overtake_the_mark
            a_late_report_keeps_its_answer_and_corrects_its_cost
            a_report_of_an_unknown_task_changes_nothing
            failed_items_are_asked_again_later
            a_task_dies_after_its_attempts
            items_given_up_do_not_hold_their_task
            stopping_a_run_counts_no_attempt
            equal_items_close_together
            an_answer_is_only_graded_by_its_own_report
            failed_calls_are_charged_when_they_were_billed
            an_attempt_run_twice_is_charged_twice
            grades_and_replies_come_back_to_the_bit
            answers_are_graded_by_a_later_step
            pairs_are_stored_once
            two_runs_of_a_plan_have_one_projection
            a_quota_holds_over_all_runs
            what_is_granted_counts_until_a_window_after_its_report
            a_lost_grant_counts_to_its_end
            the_smallest_quota_holds
            a_server_that_asks_for_it_is_left_alone
            what_was_not_asked_costs_no_attempt
            a_declined_attempt_stays_charged
            a_full_budget_waits_for_what_is_under_way
            a_lapsed_claim_is_not_waited_for
            running_runs_are_listed_with_their_flight
            each_loss_has_its_clock
            an_old_beat_is_no_sign_of_life
            a_task_that_silences_its_workers_dies
            losses_are_noted_step_by_step
            a_training_has_clocks_of_its_own
            a_lease_has_one_holder
            a_pruned_run_keeps_what_it_cost
            everything_goes_when_asked
            pruning_goes_on_where_it_was_stopped
            a_run_that_is_not_over_is_refused
            old_runs_are_pruned_by_their_age
            unused_answers_go_when_asked
        }

        #[test]
        fn random_operations_agree_with_the_model() {
            use ::proptest::prelude::*;
            if $skipped() {
                return;
            }
            let runtime = ::tokio::runtime::Runtime::new().expect("a runtime");
            let cases = ::proptest::test_runner::Config::with_cases(48);
            ::proptest::proptest!(cases, |(ops in $crate::conformance::model::operations())| {
                runtime.block_on($crate::conformance::model::check(&$open, &ops));
            });
        }
    };
    ($open:path, $skipped:path: $($name:ident)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                if $skipped() {
                    return;
                }
                let store = $open(stringify!($name)).await;
                $crate::conformance::$name(&store).await;
            }
        )+
    };
}
