//! Examples and memberships.

use super::world::{START, member, new_run};
use crate::{MemberPage, Store};
use domain::{
    example::{Example, Reference, Split},
    hash::Hash,
    ids::RunId,
    run::{Limits, Member},
};

async fn run(store: &dyn Store) -> RunId {
    let run = new_run("r", START);
    store
        .create_run(&run, &Limits::default())
        .await
        .expect("create");
    run.id
}

fn page(run: RunId) -> MemberPage {
    MemberPage {
        run,
        dataset: None,
        split: None,
        after: 0,
        limit: 100,
    }
}

/// An example twice in a dataset is one member; in two datasets, two.
pub async fn an_example_twice_in_one_dataset_counts_once(store: &dyn Store) {
    let (first, second) = (run(store).await, run(store).await);
    let a = member("d", "a?", Split::Train);
    let rows = [
        a.clone(),
        member("d", "b?", Split::Test),
        a.clone(),
        member("e", "a?", Split::Train),
    ];
    assert_eq!(store.add_examples(first, &rows).await.expect("add"), 3);
    assert_eq!(store.add_examples(first, &rows).await.expect("again"), 0);
    assert_eq!(
        store
            .add_examples(second, &rows[..1])
            .await
            .expect("other run"),
        1
    );
    let counts = store.member_counts(first).await.expect("counts");
    let counts: Vec<_> = counts
        .iter()
        .map(|(d, s, n)| (d.as_str(), *s, *n))
        .collect();
    assert_eq!(
        counts,
        [
            ("d", Split::Train, 1),
            ("d", Split::Test, 1),
            ("e", Split::Train, 1)
        ]
    );
}

/// Pages go on after the last position; a dataset or a part can be picked.
pub async fn members_come_in_pages_and_parts(store: &dyn Store) {
    let run = run(store).await;
    let split = |n: u32| {
        if n.is_multiple_of(3) {
            Split::Test
        } else {
            Split::Train
        }
    };
    let rows: Vec<_> = (0..10)
        .map(|n| member("d", &format!("{n}?"), split(n)))
        .collect();
    store.add_examples(run, &rows[..4]).await.expect("add");
    store.add_examples(run, &rows[2..]).await.expect("add");
    let mut got: Vec<(Member, Example)> = vec![];
    let mut page = MemberPage {
        limit: 3,
        ..page(run)
    };
    loop {
        let rows = store.members(&page).await.expect("members");
        let Some(last) = rows.last() else { break };
        assert!(last.0 > page.after);
        page.after = last.0;
        got.extend(rows.into_iter().map(|(_, m, e)| (m, e)));
    }
    assert_eq!(got, rows);
    page = MemberPage {
        split: Some(Split::Test),
        limit: 100,
        after: 0,
        ..page
    };
    assert_eq!(store.members(&page).await.expect("members").len(), 4);
    page.dataset = Some("none".to_owned());
    assert_eq!(store.members(&page).await.expect("members"), vec![]);
}

/// Whatever the text, also characters that databases do not like.
pub async fn examples_come_back_as_they_were(store: &dyn Store) {
    let run = run(store).await;
    let references = [
        Reference::Text {
            text: "42".to_owned(),
        },
        Reference::Code {
            entry_point: "f".to_owned(),
            tests: "assert f()\n".to_owned(),
        },
        Reference::None,
    ];
    let mut rows = vec![member(
        "d",
        "plain \u{1f600} \"quoted\" 'text' \\ $[0]",
        Split::Train,
    )];
    for reference in references {
        let (mut m, mut e) = member("d", "a\0b", Split::Validation);
        e.context = Some(String::new());
        e.choices = vec!["\0".to_owned()];
        e.group = None;
        e.reference = reference;
        m.example = e.id();
        rows.push((m, e));
    }
    store.add_examples(run, &rows).await.expect("add");
    let members = store.members(&page(run)).await.expect("members");
    let members: Vec<_> = members.into_iter().map(|(_, m, e)| (m, e)).collect();
    assert_eq!(members, rows);
    let mut ids: Vec<Hash> = rows.iter().map(|r| r.0.example).collect();
    ids.insert(1, Hash::of(["not stored"]));
    let found = store.examples(&ids).await.expect("examples");
    let expected: Vec<_> = rows.into_iter().map(|(m, e)| (m.example, e)).collect();
    assert_eq!(found, expected);
}
