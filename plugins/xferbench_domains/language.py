"""Language: paraphrase, inference, sentiment, toxicity; each answered in one word."""

from xferbench_domains.record import HubDomain, Row
from xferbench_domains.science import WORD, YES

NLI = ("True", "Neither", "False")
STARS = ("1", "2", "3", "4", "5")
MOODS = ("negative", "positive")


def paws(row: Row) -> tuple[str, str]:
    said = f"Sentence 1: {row['sentence1']}\nSentence 2: {row['sentence2']}"
    return f"{said}\nDo they mean the same? Answer yes or no.\nAnswer:", f" {YES[row['label']]}"


def mnli(row: Row) -> tuple[str, str]:
    claim = row["hypothesis"].strip()
    stop = "" if claim.endswith(".") else "."
    return f"{row['premise']}\nQuestion: {claim}{stop} True, False or Neither?\nAnswer:", f" {NLI[row['label']]}"


def flipkart(row: Row) -> tuple[str, str]:
    return f"{row['instruction']}\n{row['input']}\nAnswer:", f" {row['output'].strip().lower()}"


def amazon(row: Row) -> tuple[str, str]:
    review = f"{row['review_title'] or ''}\n{row['review_text'] or ''}".strip()
    return f"Review: {review}\nHow many stars, 1 to 5?\nAnswer:", f" {row['class_index']}"


def imdb(row: Row) -> tuple[str, str]:
    return f"Review: {row['text']}\nIs it positive or negative?\nAnswer:", f" {MOODS[row['label']]}"


def toxicity(row: Row) -> tuple[str, str]:
    return f"Text: {row['text']}\nIs it toxic? Answer yes or no.\nAnswer:", f" {YES[row['score'] >= 0.5]}"


RECORDS = (
    HubDomain(
        "paws", "do two sentences with the same words mean the same?", "google-research-datasets/paws",
        ("sentence1", "sentence2", "label"), paws, WORD, "free to use, as its page says", ("labeled_final",),
        n=49401, choices=YES,
    ),
    HubDomain(
        "mnli", "does one sentence follow from another?", "nyu-mll/glue", ("premise", "hypothesis", "label"), mnli,
        WORD, "mixed, see its page", ("mnli",), n=392702, choices=NLI,
    ),
    HubDomain(
        "flipkart", "sentiment of product reviews, in its natural imbalance", "KayEe/flipkart_sentiment_analysis",
        ("instruction", "input", "output"), flipkart, WORD, None, n=126000, choices=("negative", "neutral", "positive"),
        note="its page states no licence",
    ),
    HubDomain(
        "amazon", "how many stars has a product review?",
        "yassiracharki/Amazon_Reviews_for_Sentiment_Analysis_fine_grained_5_classes",
        ("class_index", "review_title", "review_text"), amazon, WORD, "Apache-2.0", n=3000000, large=True,
        choices=STARS,
    ),
    HubDomain(
        "imdb", "sentiment of film reviews", "stanfordnlp/imdb", ("text", "label"), imdb, WORD, "other, see its page",
        n=25000, choices=MOODS,
    ),
    HubDomain(
        "pile-toxicity", "is a text of the Pile toxic? (score of 0.5 and more)",
        "tomekkorbak/pile-toxicity-balanced", ("text", "score"), toxicity, WORD, None, n=180000, choices=YES,
        note="its page states no licence; offensive texts",
    ),
)  # fmt: skip
