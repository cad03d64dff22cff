//! The API over real HTTPS, on real databases: each test runs on SQLite and on PostgreSQL. One that is missing in the list below is
//! dead code, and the compiler says so.

mod access;
mod accounts;
mod choice;
mod clients;
mod description;
mod errors;
mod fuzz;
mod jobs;
mod machines;
mod reach;
mod search;
mod seen;
mod stale;
mod streams;
mod studio;

on_both_engines! {
    access {
        every_route_needs_a_token_and_its_role,
        the_description_names_every_route_and_no_other,
        a_revoked_token_is_refused_at_once,
        a_login_link_works_once_and_not_after_its_day,
        secrets_are_never_listed,
    }
    accounts {
        an_account_is_made_changed_and_removed,
        the_last_local_admin_can_be_neither_removed_nor_demoted,
        of_two_admins_who_demote_each_other_one_stays,
        a_wrong_account_is_refused,
        a_link_works_once_and_a_newer_one_ends_it,
        a_login_is_prolonged_until_its_session_would_end,
        a_login_by_name_needs_password_and_code,
        a_token_has_the_roles_that_it_was_given_and_may_only_read,
    }
    reach {
        a_role_for_a_group_counts_for_its_clients_on_every_route,
        lists_leave_out_what_somebody_does_not_see,
        nobody_reaches_further_by_way_of_groups_or_jobs,
    }
    choice {
        clients_that_are_chosen_stay_so_from_page_to_page_without_scripts,
        a_list_by_groups_follows_who_joins_and_leaves,
    }
    seen {
        packages_for_a_client_out_of_sight_are_not_looked_for,
        reports_are_about_the_clients_that_somebody_sees,
        the_overview_is_about_the_clients_that_somebody_sees,
        a_request_is_decided_by_who_has_the_role_where_it_happens,
    }
    stale {
        a_preset_that_somebody_else_has_changed_is_not_overwritten,
        a_rule_that_somebody_else_has_changed_is_not_overwritten,
        a_job_script_with_newer_versions_is_not_changed_unseen,
    }
    clients {
        a_registered_client_shows_its_three_answers,
        two_clients_share_neither_name_nor_address,
        a_change_to_what_somebody_else_has_changed_is_refused,
        passwords_are_hashed_and_never_come_back,
        pages_of_a_list_join_without_gap_or_double,
        a_client_joins_and_leaves_groups,
        a_layout_that_nobody_knows_is_refused,
        a_machine_that_nobody_knows_has_a_timeline,
        a_machine_that_has_not_announced_itself_cannot_be_adopted,
        an_enrolment_command_carries_a_token_and_the_fingerprint,
    }
    description {
        every_operation_says_what_it_takes_and_gives,
    }
    fuzz {
        requests_of_every_kind_find_nothing_undescribed,
    }
    errors {
        whatever_refuses_a_request_answers_with_a_problem,
        a_wrong_field_is_named_with_its_path,
        a_request_that_is_too_large_is_refused_and_the_server_stays,
        garbage_on_every_listener_harms_nobody,
        a_blob_is_stored_whole_with_its_hash_or_not_at_all,
    }
    jobs {
        an_installation_is_refused_while_a_part_of_another_one_waits,
        a_job_that_waits_says_for_what,
        a_held_job_runs_only_when_somebody_accepts_it,
        a_cancelled_job_can_be_tried_again_and_an_open_one_not,
        what_was_cancelled_because_of_a_job_is_queued_again_with_it,
        orders_that_cannot_work_are_refused_by_field,
        a_group_gets_its_jobs_as_a_whole_or_not_at_all,
        the_helpdesk_rescues_and_restarts_but_does_not_install,
        what_the_catalogue_has_is_described,
        a_layout_that_somebody_else_has_changed_is_not_overwritten,
        an_own_layout_wins_over_the_one_that_lotse_brings_until_it_goes,
    }
    machines {
        many_are_installed_by_a_table_or_none_is,
        a_table_adopts_machines_by_serial_and_destroys_only_when_allowed,
        a_rule_adopts_what_fits_and_leaves_disks_alone_that_hold_something,
        a_recovered_client_gets_back_what_had_succeeded_on_it,
        notes_and_history_stay_with_their_client,
        jobs_are_found_by_type_and_cause,
    }
    search {
        a_search_finds_sorts_and_pages,
        a_group_is_whoever_its_search_finds_at_the_moment,
        an_order_for_many_is_shown_then_carried_out_for_each,
        the_helpdesk_orders_for_many_only_what_it_may_for_one,
        a_search_is_kept_for_oneself_or_for_everybody,
        the_pages_of_a_search_say_what_is_wrong_and_what_would_happen,
    }
    streams {
        the_event_stream_goes_on_where_a_reader_left_it,
        output_comes_live_once_and_in_order_and_the_stream_ends_with_the_attempt,
        a_stopping_server_ends_its_streams_and_stops_at_once,
    }
    studio {
        a_layout_is_checked_as_text_and_as_picture_before_it_is_kept,
        a_layout_that_a_client_uses_is_not_deleted,
        an_own_job_script_counts_until_another_version_is_chosen,
        an_image_is_deleted_only_when_nobody_needs_it,
        every_part_of_the_server_says_how_it_is,
        every_report_is_a_table_for_programs_and_for_spreadsheets,
    }
}
