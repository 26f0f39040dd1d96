//! The names of local models stand twice: in the catalogue, and in the crate that checks specs, which links no tensor
//! library to know them. Only here may both be seen.

#[test]
fn specs_know_the_models_of_the_catalogue() {
    let fetched: Vec<&str> = model::catalogue::list().iter().map(|e| e.name).collect();
    assert_eq!(spec::CATALOGUE, fetched);
}
