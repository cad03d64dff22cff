//! Rollouts on a real server and on both databases, with agents that take and end jobs as the test wants, and a clock that it turns.
//!
//! The engine itself is proved in `server/src/domain/rollout`; here it is what is stored, asked for and carried out.

mod control;
mod fleet;
mod pages;
mod schedules;
mod site;
mod storms;
mod works;

on_both_engines! {
    control {
        a_broken_package_stops_a_rollout_in_its_first_wave,
        a_rollout_goes_through_its_waves_and_finishes,
        what_cannot_be_carried_out_is_refused_with_its_fields,
        a_pause_takes_back_what_nobody_has_begun,
        a_cancelled_rollout_leaves_nobody_without_a_state,
        a_start_that_needs_a_second_person_waits_for_one,
        several_jobs_run_one_after_the_other,
        a_client_that_makes_no_sense_is_left_out_with_the_reason,
        latecomers_get_a_wave_of_their_own,
    }
    fleet {
        a_rollout_outlives_its_server_and_an_agent,
        a_script_that_fails_runs_on_no_machine_of_the_second_wave,
        a_broken_agent_comes_to_no_machine_of_the_second_wave,
    }
    pages {
        a_rollout_is_shown_made_and_ordered_about_on_pages,
        the_form_takes_several_jobs_in_their_order,
    }
    schedules {
        a_window_that_closes_takes_back_what_nobody_has_begun,
        a_recurring_rollout_comes_once_in_each_period,
        a_client_that_stays_offline_is_given_up,
    }
    storms {
        nothing_forbidden_happens_whatever_comes,
        servers_that_look_at_the_same_time_order_once,
    }
    works {
        an_installation_anew_that_fails_touches_no_second_client,
        an_installation_anew_that_nobody_began_leaves_the_client_as_it_was,
        a_stop_that_needs_a_second_person_holds_until_one_agrees,
    }
}
