// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * One global of every structure and enum in agent_api.h, and nothing else.
 *
 * Clang writes a type into BTF only when a global, a function or a map of the object uses it: a record that programs
 * merely reserve in a ring buffer would be missing.  scripts/gen_types.ts reads this object; it is not linked into the
 * one that the agent loads, so the globals cost the node nothing.  A type missing here fails the generator.
 */
#include <linux/types.h>
#include "agent_api.h"

enum op_class global_op_class;
enum preset global_preset;
enum socket_kind global_socket_kind;
enum verdict global_verdict;
enum exemption global_exemption;
enum reason global_reason;
enum hook global_hook;
enum event_type global_event_type;
enum counter global_counter;
enum pending_mode global_pending_mode;
enum cgroup_controller global_cgroup_controller;

struct image_header global_image_header;
struct image_trie global_image_trie;
struct image_set global_image_set;
struct syscall_table global_syscall_table;
struct image_slot global_image_slot;
struct image_bucket global_image_bucket;
struct image_rows global_image_rows;
struct image_references global_image_references;
struct image_names global_image_names;
struct image_lexer global_image_lexer;
struct image_classes global_image_classes;
struct image_moves global_image_moves;
struct image_outcomes global_image_outcomes;

struct hash_keys global_hash_keys;
struct agent_settings global_agent_settings;
struct cgroup_prefix global_cgroup_prefix;
struct container_use global_container_use;
struct container_account global_container_account;
struct alert_limits global_alert_limits;
struct alert_kind global_alert_kind;
struct numbering global_numbering;
struct agent_pulse global_agent_pulse;
struct task_survey global_task_survey;
struct known_path global_known_path;

struct protected_key global_protected_key;
struct protected_object global_protected_object;
struct protected_id global_protected_id;
struct process_ref global_process_ref;
struct protected_fd global_protected_fd;
struct protection global_protection;

struct exec_ref global_exec_ref;
struct event_header global_event_header;
struct decision_event global_decision_event;
struct suppressed_event global_suppressed_event;
struct exec_event global_exec_event;
struct exit_event global_exit_event;
struct container_event global_container_event;
struct held_event global_held_event;
