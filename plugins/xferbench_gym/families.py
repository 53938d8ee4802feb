"""The families of reasoning-gym by its own groups, written down so that listing them imports nothing."""

TESTED = "0.1.25"
"""The version whose families these are."""
GROUPS = {
    group: tuple(names.split())
    for group, names in {
        "algebra": "complex_arithmetic intermediate_integration polynomial_equations polynomial_multiplication "
        "simple_equations simple_integration",
        "algorithmic": "ab base_conversion binary_alternation binary_matrix caesar_cipher count_primes cryptarithm "
        "game_of_life group_anagrams isomorphic_strings jugs letter_counting letter_jumble "
        "manipulate_matrix number_filtering number_sorting palindrome_generation palindrome_partitioning pool_matrix "
        "ransom_note rotate_matrix rotten_oranges sentence_reordering spell_backward spiral_matrix string_insertion "
        "string_manipulation string_splitting string_synthesis word_ladder word_sequence_reversal word_sorting",
        "arc": "arc_1d arc_agi rearc",
        "arithmetic": "basic_arithmetic bitwise_arithmetic calendar_arithmetic chain_sum count_bits "
        "decimal_arithmetic decimal_chain_sum dice fraction_simplification gcd gsm_symbolic lcm leg_counting "
        "number_format power_function prime_factorization products time_intervals",
        "code": "bf codeio",
        "cognition": "color_cube_rotation figlet_font modulo_grid needle_haystack number_sequence rectangle_count",
        "games": "countdown emoji_mystery futoshiki kakurasu knight_swap mahjong_puzzle maze mini_sudoku n_queens "
        "sokoban sudoku survo tower_of_hanoi tsumego",
        "geometry": "advanced_geometry simple_geometry",
        "graphs": "course_schedule family_relationships largest_island path_star quantum_lock shortest_path",
        "induction": "acre list_functions",
        "logic": "aiw circuit_logic knights_knaves self_reference syllogism zebra_puzzles",
        "probability": "coin_flip",
    }.items()
}
LEFT_OUT = ("boxnet", "composite", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour")
"""Families that give no answer of their own to learn from (composite is a mixture of others)."""
TOO_KIND = ("game_of_life_halting", "puzzle24")
"""Families whose verifier, in this version, gives full marks to another problem's answer: left out as well."""
SIZES = {"word_ladder": 500}
"""Families that make only so many problems; all others make as many as are asked for."""
