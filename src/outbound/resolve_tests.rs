//! Lookups, by the machine's resolver and by one that does as it is told.

use super::*;
use crate::outbound::loopback::run;

#[test]
fn the_machine_knows_itself_and_no_name_that_cannot_be() {
    let addresses = run(Resolver::system().addresses("localhost")).unwrap();
    assert!(
        addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 0),
        "{addresses:?}"
    );
    let error = run(Resolver::system().addresses(&"a.".repeat(200))).unwrap_err();
    assert!(!error.to_string().contains("a.a."), "{error}");
}

#[test]
fn a_name_without_an_address_is_an_error() {
    let nowhere = Resolver::new(|_| Ok(Vec::new()));
    assert_eq!(run(nowhere.addresses("name")), Err(LookupError::new("the name has no address")));
    let failing = Resolver::new(|_| Err(io::Error::other("the name server is on fire")));
    assert_eq!(run(failing.addresses("name")), Err(LookupError::new("the name server is on fire")));
}
