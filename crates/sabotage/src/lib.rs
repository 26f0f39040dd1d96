//! Where a test of faults may make a process die, or leave a guard out to see that something then goes wrong.
//!
//! `PROMPTIMAL_SABOTAGE=worker.reported@25,fence` makes the process abort when it comes to the point `worker.reported`
//! for the 25th time, and leaves out the guard `fence`. Only builds with debug assertions read it: in a release these
//! functions do nothing.
//!
//! | point | where |
//! | --- | --- |
//! | `coordinator.read` | a run's data are read, not yet noted |
//! | `coordinator.planned` | a step is planned, nothing of it is sent |
//! | `coordinator.published` | tasks are confirmed by the queue, not yet marked as dispatched |
//! | `coordinator.applied` | reports are applied, not yet acknowledged |
//! | `coordinator.acked` | only without the guard `commit`: reports are acknowledged, not applied |
//! | `worker.reported` | a report is confirmed by the queue, its task not yet acknowledged |
//! | `worker.acked` | only without the guard `confirm`: a task is acknowledged, its report not sent |
//!
//! | guard | what holds otherwise |
//! | --- | --- |
//! | `confirm` | a task is acknowledged once its report is confirmed |
//! | `commit` | a report is acknowledged once it is applied |
//! | `fence` | a report of an epoch that was given up changes nothing |
//! | `unique` | a step is planned once (its round must not be unique in the database either) |
//! | `lease` | one coordinator leads at a time |
//! | `haste` | a step is planned as soon as that is decided (without it two seconds later) |
//! | `decline` | an attempt whose calls are counted is worked on by one worker |
//! | `grant` | what is claimed of a limited model keeps within its limit (PostgreSQL) |
//! | `once` | a message is published once (without it three times, in any order) |
//! | `poison` | a task whose text holds `POISON` does not end its worker |

/// Comes to a point where the process may have to die.
#[inline]
pub fn point(name: &str) {
    #[cfg(debug_assertions)]
    plan::point(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Whether a guard is left out.
#[inline]
pub fn breaks(guard: &str) -> bool {
    #[cfg(debug_assertions)]
    return plan::breaks(guard);
    #[cfg(not(debug_assertions))]
    {
        let _ = guard;
        false
    }
}

#[cfg(debug_assertions)]
mod plan {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };

    struct Act {
        name: String,
        /// At which visit; 0 for a guard.
        at: u64,
        visits: AtomicU64,
    }

    fn acts() -> &'static [Act] {
        static ACTS: OnceLock<Vec<Act>> = OnceLock::new();
        ACTS.get_or_init(|| read(&std::env::var("PROMPTIMAL_SABOTAGE").unwrap_or_default()))
    }

    fn read(text: &str) -> Vec<Act> {
        let words = text.split(',').map(str::trim).filter(|w| !w.is_empty());
        words
            .map(|word| {
                let (name, at) = word.split_once('@').unwrap_or((word, "0"));
                Act {
                    name: name.to_owned(),
                    at: at.parse().unwrap_or(1),
                    visits: AtomicU64::new(0),
                }
            })
            .collect()
    }

    pub fn point(name: &str) {
        for act in acts().iter().filter(|a| a.at > 0 && a.name == name) {
            if act.visits.fetch_add(1, Ordering::Relaxed) + 1 == act.at {
                eprintln!("sabotage: {name}, visit {}: this process dies", act.at);
                std::process::abort();
            }
        }
    }

    pub fn breaks(guard: &str) -> bool {
        acts().iter().any(|a| a.at == 0 && a.name == guard)
    }

    #[cfg(test)]
    mod tests {
        use super::read;

        #[test]
        fn points_have_a_visit_and_guards_have_none() {
            let acts = read(" worker.reported@25, fence,");
            let acts: Vec<_> = acts.iter().map(|a| (a.name.as_str(), a.at)).collect();
            assert_eq!(acts, [("worker.reported", 25), ("fence", 0)]);
        }
    }
}
