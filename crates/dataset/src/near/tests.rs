use super::*;
use proptest::prelude::*;

fn id(text: &str) -> Hash {
    Hash::of([text])
}

fn clusters(texts: &[&str]) -> Clusters {
    cluster(texts.iter().map(|t| (id(t), *t)))
}

fn question(input: &str, choices: [&str; 4]) -> Example {
    Example {
        input: input.to_owned(),
        context: None,
        choices: choices.map(str::to_owned).to_vec(),
        reference: domain::example::Reference::Choice { index: 0 },
        group: None,
    }
}

fn together(a: &Example, b: &Example) -> bool {
    let found = cluster([a, b].map(|e| (e.id(), near_text(e))));
    found.of(a.id()) == found.of(b.id())
}

#[test]
fn short_stems_do_not_merge_different_questions() {
    let stem = "Which of the following is true?";
    let birds = question(
        stem,
        [
            "All birds fly",
            "Owls hunt by day",
            "Hens lay eggs",
            "Gulls are fish",
        ],
    );
    let rocks = question(
        stem,
        [
            "Chalk is soft",
            "Granite floats",
            "Slate is wood",
            "Sand is liquid",
        ],
    );
    assert!(!together(&birds, &rocks));
    let sum = |a: &str, choices| question(&format!("What is {a} plus 7?"), choices);
    assert!(!together(
        &sum("3", ["10", "11", "12", "13"]),
        &sum("4", ["10", "11", "12", "13"])
    ));
}

#[test]
fn reordered_choices_and_other_case_are_duplicates() {
    let one = question(
        "Which of these is a mammal?",
        ["Whale", "Shark", "Trout", "Squid"],
    );
    let two = question(
        "which of these is a mammal",
        ["Squid", "Trout", "Shark", "Whale"],
    );
    assert!(together(&one, &two));
}

#[test]
fn the_same_question_with_another_answer_stays_together() {
    let one = question("Is it?", ["a", "b", "c", "d"]);
    let two = Example {
        reference: domain::example::Reference::Choice { index: 1 },
        ..one.clone()
    };
    assert_ne!(one.id(), two.id());
    assert!(together(&one, &two));
}

#[test]
fn clusters_are_counted_and_named_by_their_smallest_member() {
    let texts = [
        "Alpha beta gamma",
        "alpha, beta: GAMMA!",
        "delta",
        "delta",
        "epsilon",
    ];
    let found = clusters(&texts);
    assert_eq!((found.examples(), found.clusters()), (4, 3));
    assert_eq!(found.sizes(), BTreeMap::from([(1, 2), (2, 1)]));
    let smallest = id(texts[0]).min(id(texts[1]));
    assert_eq!(found.of(id(texts[0])), Some(smallest));
    assert_eq!(found.of(id(texts[1])), Some(smallest));
    assert_eq!(found.of(id("zeta")), None);
}

#[test]
fn memory_is_what_the_docs_say() {
    assert_eq!(size_of::<(u32, Signature)>() + size_of::<Hash>(), 148);
    let mut builder = ClusterBuilder::default();
    for i in 0..10_000 {
        builder.push(
            id(&i.to_string()),
            &format!("a short text with the number {i} in it"),
        );
    }
    // Vectors grow by doubling: at most twice what is used.
    let bytes = builder.bytes() / 10_000;
    assert!((148..=296).contains(&bytes), "{bytes} bytes an example");
}

/// Some words of a small vocabulary.
fn sentence(words: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-z]{2,7}", words)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_word_more_makes_no_other_example(words in sentence(16..120), more in "[a-z]{2,7}") {
        let (one, two) = (words.join(" "), format!("{}, {more}!", words.join(" ").to_uppercase()));
        let found = clusters(&[&one, &two]);
        prop_assert_eq!(found.of(id(&one)), found.of(id(&two)));
    }

    #[test]
    fn unlike_texts_stay_apart(a in sentence(4..60), b in sentence(4..60)) {
        let (one, two) = (a.join(" "), b.join(" "));
        prop_assume!(shared(&a, &b) < 0.4);
        let found = clusters(&[&one, &two]);
        prop_assert_ne!(found.of(id(&one)), found.of(id(&two)));
    }

    #[test]
    fn joined_is_what_is_similar(
        words in sentence(41..120),
        edits in prop::collection::vec((0..120_usize, "[a-z]{2,7}"), 0..12),
    ) {
        let one = words.join(" ");
        let mut edited = words;
        for (at, word) in edits {
            let at = at % edited.len();
            edited[at] = word;
        }
        let two = edited.join(" ");
        let found = clusters(&[&one, &two]);
        let together = found.of(id(&one)) == found.of(id(&two));
        // Five standard errors of the estimate on either side of the threshold.
        match jaccard(&one, &two) {
            j if j >= 0.92 => prop_assert!(together, "{j}"),
            j if j <= 0.55 => prop_assert!(!together, "{j}"),
            _ => {}
        }
    }

    #[test]
    fn order_changes_nothing(
        texts in prop::collection::vec(sentence(1..30), 1..20),
        edits in prop::collection::vec((0..20_usize, "[a-z]{1,3}"), 0..20),
        seed in any::<u64>(),
    ) {
        let mut texts: Vec<String> = texts.iter().map(|w| w.join(" ")).collect();
        for (i, word) in edits {
            texts.push(format!("{} {word}", texts[i % texts.len()]));
        }
        let forward = cluster(texts.iter().map(|t| (id(t), t)));
        let mut shuffled = texts.clone();
        shuffled.sort_by_key(|t| Hash::of([seed.to_le_bytes().as_slice(), t.as_bytes()]));
        prop_assert_eq!(forward, cluster(shuffled.iter().map(|t| (id(t), t))));
    }
}

/// The share of words that two texts have in common.
fn shared(a: &[String], b: &[String]) -> f64 {
    let (a, b): (std::collections::BTreeSet<_>, std::collections::BTreeSet<_>) =
        (a.iter().collect(), b.iter().collect());
    a.intersection(&b).count() as f64 / a.union(&b).count() as f64
}

/// The exact similarity of two long texts.
fn jaccard(a: &str, b: &str) -> f64 {
    let set = |text: &str| -> std::collections::BTreeSet<u64> {
        KINDS[1].shingles(&shingles::words(text)).collect()
    };
    let (a, b) = (set(a), set(b));
    a.intersection(&b).count() as f64 / a.union(&b).count() as f64
}
