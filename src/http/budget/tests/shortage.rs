//! Selection of the bodies that give way when memory runs short.

use futures_util::FutureExt as _;

use super::*;
use crate::http::budget::in_flight::MAX_WAITING;

/// Releases dropped bodies, as their requests would. Returns their number.
fn release_dropped(bodies: &mut Vec<Reservation>) -> usize {
    let before = bodies.len();
    bodies.retain(|body| body.dropped().now_or_never().is_none());
    before - bodies.len()
}

/// Delivers `bytes` to each body once a second.
async fn drip(bodies: &[Reservation], bytes: usize, seconds: u32) {
    for _ in 0..seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bodies.iter().for_each(|body| body.arrived(bytes));
    }
}

/// Fills the share of one network with bodies.
fn crowd(budget: &Arc<Budget>, number: u8, bytes: usize) -> Vec<Reservation> {
    let mut bodies = Vec::new();
    loop {
        let mut body = budget.reservation(other(number));
        if body.grow_to(bytes).is_err() {
            return bodies;
        }
        body.watch();
        bodies.push(body);
    }
}

#[test]
fn few_networks_cannot_shut_out_larger_bodies() {
    with_paused_time(async {
        let budget = Budget::new(64 * MEBIBYTE);
        let mut slow: Vec<_> = (10..30).map(|number| holding(&budget, number, 10_000)).collect();
        slow.iter_mut().for_each(Reservation::watch);
        let mut flood: Vec<_> = (1..=4).flat_map(|number| crowd(&budget, number, 61_000)).collect();
        tokio::join!(drip(&flood, 1_600, 6), drip(&slow, 1_000, 6));
        let mut newcomer = budget.reservation(CLIENT);
        let newcomer = async {
            for bytes in (0..300_000).step_by(16 << 10) {
                assert_eq!(newcomer.make_room(bytes).await, Ok(()), "{bytes}");
            }
        };
        let mut dropped = 0;
        let flood = async {
            loop {
                tokio::time::sleep(Duration::from_millis(10)).await;
                dropped += release_dropped(&mut flood);
            }
        };
        tokio::select! {
            () = newcomer => {}
            () = flood => {}
        }
        assert!((5..100).contains(&dropped), "{dropped} were dropped");
        assert_eq!(release_dropped(&mut slow), 0, "small holders were dropped");
    });
}

#[test]
fn slowest_body_of_heaviest_network_is_dropped() {
    with_paused_time(async {
        let budget = Budget::new(16 * MEBIBYTE);
        let hold = |number, bytes| {
            let mut body = holding(&budget, number, bytes);
            body.watch();
            body
        };
        let mut singles: Vec<_> = (10..16).map(|number| hold(number, MEBIBYTE)).collect();
        let mut light: Vec<_> = (0..2).map(|_| hold(1, MEBIBYTE / 2)).collect();
        let mut heavy: Vec<_> = (0..4).map(|_| hold(2, MEBIBYTE * 9 / 10)).collect();
        let (slowest, heaviest): (Vec<_>, Vec<_>) =
            (vec![hold(3, MEBIBYTE)], (0..3).map(|_| hold(3, MEBIBYTE)).collect());
        tokio::join!(
            drip(&singles, 19_000, 6),
            drip(&light, 10_000, 6),
            drip(&heavy, 19_000, 6),
            drip(&slowest, 20_000, 6),
            drip(&heaviest, 40_000, 6),
        );
        let mut heaviest: Vec<_> = slowest.into_iter().chain(heaviest).collect();
        let mut newcomer = budget.reservation(CLIENT);
        let release = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert!(heaviest[0].dropped().now_or_never().is_some());
            heaviest.remove(0);
            [&mut heaviest, &mut heavy, &mut light, &mut singles].map(release_dropped)
        };
        let (outcome, also_dropped) = tokio::join!(newcomer.make_room(MEBIBYTE), release);
        assert_eq!((outcome, also_dropped), (Ok(()), [0; 4]));
    });
}

#[test]
fn network_with_many_waiting_bodies_gives_way() {
    with_paused_time(async {
        let budget = Budget::new(16 * MEBIBYTE);
        let _held: Vec<_> = (1..=4).flat_map(|number| crowd(&budget, number, SMALL)).collect();
        let wait = |number| {
            let mut body = budget.reservation(other(number));
            async move { (body.make_room(SMALL + 1).await, body) }
        };
        let crowd = futures_util::future::join_all((0..100).map(|_| wait(9)));
        let newcomer = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(budget.in_flight.lock().waiting, MAX_WAITING);
            let began = Instant::now();
            let mut newcomer = budget.reservation(CLIENT);
            assert_eq!(newcomer.make_room(SMALL + 1).await, Err(BudgetExhausted));
            assert_eq!(began.elapsed(), ROOM_TIMEOUT, "it did not wait");
        };
        let (crowd, ()) = tokio::join!(crowd, newcomer);
        assert!(crowd.iter().all(|(outcome, _)| *outcome == Err(BudgetExhausted)));
        assert_eq!(budget.in_flight.lock().waiting, 0);
    });
}

#[test]
fn heavy_networks_do_not_take_memory_from_waiters() {
    with_paused_time(async {
        let budget = Budget::new(16 * MEBIBYTE);
        let mut held: Vec<_> = (1..=4).flat_map(|number| crowd(&budget, number, SMALL)).collect();
        let mut newcomer = budget.reservation(CLIENT);
        let wait = newcomer.make_room(4 * SMALL);
        let others = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            // Room for four small bodies is not enough for the newcomer.
            held.truncate(held.len() - 4);
            let heavy = budget.reservation(other(4)).grow_to(SMALL);
            let light = budget.reservation(other(9)).grow_to(SMALL);
            assert_eq!((heavy, light), (Err(BudgetExhausted), Ok(())));
        };
        let (outcome, ()) = tokio::join!(wait, others);
        assert_eq!(outcome, Err(BudgetExhausted));
        assert_eq!(budget.reservation(other(4)).grow_to(SMALL), Ok(()), "no body is waiting");
    });
}

#[test]
fn ipv6_allocation_is_one_client() {
    let budget = Budget::new(16 * MEBIBYTE);
    let hold = |c, d| {
        let mut body = budget.reservation(Network::V6([0x2001, 0xdb8, c, d]));
        body.grow_to(SMALL).ok().map(|()| body)
    };
    let flood: Vec<_> = (0..256).map_while(|number| hold(1, number)).collect();
    assert_eq!(flood.len(), 64, "a quarter of the budget");
    assert!(hold(2, 0).is_some());
}
