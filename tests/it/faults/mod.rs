//! Faults in the real binary under load. Each test has a short form of seconds, which runs with all
//! other tests, and a long form for `scripts/faults`, which sets `CREEL_FAULTS=long`.

mod clean_up;
mod damage;
mod descriptors;
mod files;
mod floods;
mod full_disk;
mod keys;
mod kill;
mod locks;
mod memory;
mod ordering;
mod signals;
mod slow_clients;
mod sync;

/// Returns `short` or `long`, depending on the form; `CREEL_FAULT_CYCLES` replaces the long form's
/// counts of cycles.
fn form<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

fn is_long() -> bool {
    std::env::var("CREEL_FAULTS").is_ok_and(|form| form == "long")
}

pub fn cycles(short: u32, long: u32) -> u32 {
    let given = std::env::var("CREEL_FAULT_CYCLES").ok();
    given.map_or_else(|| form(short, long), |text| text.parse().expect("CREEL_FAULT_CYCLES is a number"))
}
