//! Allocation of the budget, and bodies that give way to others.

use super::*;

mod shortage;

const CLIENT: Network = Network::V4([192, 0, 2, 1]);

fn other(number: u8) -> Network {
    Network::V4([198, 51, 100, number])
}

#[test]
fn bodies_never_hold_more_than_the_budget() {
    let budget = Budget::new(100);
    let mut held = Vec::new();
    for number in 0..4 {
        let mut reservation = budget.reservation(other(number));
        assert_eq!(reservation.grow_to(25), Ok(()));
        held.push(reservation);
    }
    let mut late = budget.reservation(CLIENT);
    assert_eq!(late.grow_to(1), Err(BudgetExhausted));
    held.pop();
    assert_eq!(late.grow_to(25), Ok(()));
    assert_eq!(late.grow_to(26), Err(BudgetExhausted));
}

#[test]
fn one_client_holds_at_most_a_quarter_with_several_bodies() {
    let budget = Budget::new(100);
    let mut first = budget.reservation(CLIENT);
    let mut second = budget.reservation(CLIENT);
    assert_eq!(first.grow_to(20), Ok(()));
    assert_eq!(second.grow_to(5), Ok(()));
    assert_eq!(second.grow_to(6), Err(BudgetExhausted));
    assert_eq!(first.grow_to(21), Err(BudgetExhausted));
    assert_eq!(budget.reservation(other(1)).grow_to(25), Ok(()));
}

#[test]
fn single_body_of_client_may_use_all_free_memory() {
    let budget = Budget::new(100);
    let mut only = budget.reservation(CLIENT);
    assert_eq!(only.grow_to(60), Ok(()));
    assert_eq!(only.grow_to(100), Ok(()));
    assert_eq!(only.grow_to(101), Err(BudgetExhausted));
}

#[test]
fn dropped_reservation_is_released() {
    let budget = Budget::new(100);
    for _ in 0..3 {
        let mut reservation = budget.reservation(CLIENT);
        assert_eq!(reservation.grow_to(100), Ok(()));
    }
    let in_flight = budget.in_flight.lock();
    assert_eq!(in_flight.bytes, 0);
    assert!(in_flight.of_clients.is_empty() && in_flight.bodies.is_empty());
}

const MEBIBYTE: usize = 1 << 20;

/// Runs with a paused clock, which advances when all tasks wait.
fn with_paused_time<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(test)
}

fn holding(budget: &Arc<Budget>, number: u8, bytes: usize) -> Reservation {
    let mut reservation = budget.reservation(other(number));
    reservation.grow_to(bytes).unwrap();
    reservation
}

/// A body that receives no further data. Resolves with the time until it was dropped.
async fn stalled(mut reservation: Reservation) -> Duration {
    let began = Instant::now();
    reservation.watch();
    reservation.dropped().await;
    began.elapsed()
}

#[test]
fn stalled_bodies_give_way_within_a_moment() {
    with_paused_time(async {
        let budget = Budget::new(64 * MEBIBYTE);
        let stalled_bodies = futures_util::future::join_all(
            (1..=64).map(|number| stalled(holding(&budget, number, MEBIBYTE - MEBIBYTE / 16))),
        );
        let newcomer = async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            let began = Instant::now();
            let mut newcomer = budget.reservation(CLIENT);
            assert_eq!(newcomer.make_room(10 * MEBIBYTE).await, Ok(()));
            began.elapsed()
        };
        tokio::select! {
            took = newcomer => assert!(took <= Duration::from_secs(2), "{took:?}"),
            _ = stalled_bodies => panic!("all were dropped, instead of only the necessary ones"),
        }
    });
}

#[test]
fn slowest_body_is_dropped_but_never_one_with_progress() {
    with_paused_time(async {
        let budget = Budget::new(4 * MEBIBYTE);
        let mut fast = holding(&budget, 1, MEBIBYTE);
        fast.watch();
        let sending = async {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                fast.arrived(20_000);
            }
        };
        let slow = stalled(holding(&budget, 2, MEBIBYTE));
        let newcomer = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let mut newcomer = budget.reservation(CLIENT);
            assert_eq!(newcomer.make_room(MEBIBYTE).await, Ok(()));
            let mut second = budget.reservation(other(9));
            let mut third = budget.reservation(other(8));
            assert_eq!(second.make_room(MEBIBYTE).await, Ok(()));
            assert_eq!(third.make_room(MEBIBYTE).await, Err(BudgetExhausted));
        };
        tokio::select! {
            () = async { tokio::join!(slow, newcomer); } => {}
            () = sending => {}
            () = fast.dropped() => panic!("a body with progress was dropped"),
        }
    });
}

#[test]
fn oldest_waits_and_younger_give_way_when_all_make_progress() {
    with_paused_time(async {
        let budget = Budget::new(12 * MEBIBYTE);
        let (mut old, mut young) = (holding(&budget, 1, 2 * MEBIBYTE), holding(&budget, 2, 2 * MEBIBYTE));
        let young = async {
            assert_eq!(young.make_room(5 * MEBIBYTE).await, Err(BudgetExhausted));
            drop(young);
        };
        let (old, ()) = tokio::join!(old.make_room(5 * MEBIBYTE), young);
        assert_eq!(old, Ok(()));
    });
}

#[test]
fn younger_of_two_bodies_of_a_client_gives_way() {
    with_paused_time(async {
        let budget = Budget::new(32 * MEBIBYTE);
        let hold = || {
            let mut reservation = budget.reservation(CLIENT);
            reservation.grow_to(4 * MEBIBYTE).unwrap();
            reservation
        };
        for is_older_first in [true, false] {
            let (mut older, mut younger) = (hold(), hold());
            let grow_older = async { older.make_room(5 * MEBIBYTE).await };
            let grow_younger = async move {
                let outcome = younger.make_room(5 * MEBIBYTE).await;
                drop(younger);
                outcome
            };
            let outcomes = if is_older_first {
                tokio::join!(grow_older, grow_younger)
            } else {
                let (younger, older) = tokio::join!(grow_younger, grow_older);
                (older, younger)
            };
            assert_eq!(outcomes, (Ok(()), Err(BudgetExhausted)), "{is_older_first}");
        }
        let (mut older, _younger) = (hold(), hold());
        let began = Instant::now();
        assert_eq!(older.make_room(5 * MEBIBYTE).await, Err(BudgetExhausted));
        assert_eq!(began.elapsed(), ROOM_TIMEOUT, "the younger one stays");
    });
}

#[test]
fn small_holder_waits_after_older_body() {
    with_paused_time(async {
        let budget = Budget::new(12 * MEBIBYTE);
        let (mut old, present) = (holding(&budget, 1, 2 * MEBIBYTE), holding(&budget, 2, 2 * MEBIBYTE));
        let mut newcomer = holding(&budget, 3, 16 << 10);
        let old = async {
            assert_eq!(old.make_room(5 * MEBIBYTE).await, Ok(()));
            tokio::time::sleep(Duration::from_millis(500)).await;
            drop(old);
        };
        let present = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            drop(present);
        };
        let (newcomer, (), ()) = tokio::join!(newcomer.make_room(5 * MEBIBYTE), old, present);
        assert_eq!(newcomer, Ok(()));
    });
}

#[test]
fn large_bodies_never_drop_a_small_one() {
    with_paused_time(async {
        let budget = Budget::new(64 * MEBIBYTE);
        let small = stalled(holding(&budget, 1, 16 << 10));
        let large = async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            let _first = holding(&budget, 2, 16 * MEBIBYTE);
            let mut second = holding(&budget, 3, 15 * MEBIBYTE);
            assert_eq!(second.make_room(25 * MEBIBYTE).await, Err(BudgetExhausted));
        };
        tokio::select! {
            () = large => {}
            _ = small => panic!("a body too small to help was dropped"),
        }
    });
}

#[test]
fn stalled_small_bodies_cannot_hold_the_budget() {
    with_paused_time(async {
        let budget = Budget::new(16 * MEBIBYTE);
        let client = |number: usize| u8::try_from(number % 8).unwrap();
        let held: Vec<_> = (0..200).map(|number| holding(&budget, client(number), SMALL)).collect();
        let stalled_bodies = futures_util::future::join_all(held.into_iter().map(stalled));
        let newcomer = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let mut newcomer = budget.reservation(CLIENT);
            assert_eq!(newcomer.make_room(4 * MEBIBYTE).await, Ok(()));
        };
        tokio::select! {
            () = newcomer => {}
            _ = stalled_bodies => panic!("all were dropped, instead of only the necessary ones"),
        }
    });
}

#[test]
fn small_body_displaces_slow_small_body() {
    with_paused_time(async {
        let budget = Budget::new(MEBIBYTE);
        let _large = holding(&budget, 1, MEBIBYTE - SMALL);
        let small = stalled(holding(&budget, 2, SMALL));
        let newcomer = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let mut newcomer = budget.reservation(CLIENT);
            assert_eq!(newcomer.make_room(16 << 10).await, Ok(()));
        };
        tokio::join!(small, newcomer);
    });
}

#[test]
fn budget_includes_copy_of_largest_body() {
    let budget = Budget::new(64 * MEBIBYTE);
    let first = holding(&budget, 1, 16 * MEBIBYTE);
    let mut second = budget.reservation(other(2));
    assert_eq!(second.grow_to(18 * MEBIBYTE), Ok(()));
    assert_eq!(second.grow_to(19 * MEBIBYTE), Err(BudgetExhausted));
    drop(first);
    assert_eq!(second.grow_to(35 * MEBIBYTE), Ok(()), "alone");
    assert_eq!(budget.reservation(other(3)).grow_to(2 * MEBIBYTE), Err(BudgetExhausted));
    assert_eq!(budget.reservation(other(4)).grow_to(MEBIBYTE), Ok(()));
}

#[test]
fn large_bodies_leave_room_for_small_ones() {
    let budget = Budget::new(16 * MEBIBYTE);
    let mut held = Vec::new();
    for number in 0..200 {
        let mut reservation = budget.reservation(other(number));
        if reservation.grow_to(MEBIBYTE).is_ok() {
            held.push(reservation);
        }
    }
    assert_eq!(held.len(), 15);
    assert_eq!(budget.reservation(CLIENT).grow_to(SMALL), Ok(()));
}
